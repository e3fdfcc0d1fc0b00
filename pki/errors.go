package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// What can be wrong with the directory.
var (
	// ErrNoCAKey says that this node cannot issue or renew: it has no ca.key.
	ErrNoCAKey = errors.New("this node has no CA key")
	// ErrIntermediate says that the CA cannot serve IKE daemons: they read one certificate of the
	// CA's file, and strongSwan follows it only when it is self-signed.
	ErrIntermediate = errors.New("the CA is an intermediate one, which IKE daemons do not trust alone; let these hosts have keys instead of certificates")
	// ErrNotInitialised says that the directory holds no CA and Options.NoCreate forbids making one.
	ErrNotInitialised = errors.New("no CA in the directory")
)

// What can be wrong with a peer: the Kind of a [PeerError].
var (
	// ErrNoCertificate says that the peer presented none.
	ErrNoCertificate = errors.New("no certificate")
	// ErrUntrusted says that the certificate was not signed by the expected CA, or not in a valid way.
	ErrUntrusted = errors.New("certificate not signed by the controller's CA")
	// ErrPeerExpired says that the certificate is outside its validity period.
	ErrPeerExpired = errors.New("certificate expired or not valid yet")
	// ErrRevoked says that the certificate was revoked.
	ErrRevoked = errors.New("certificate revoked")
	// ErrWrongIdentity says that the certificate is good, but somebody else's.
	ErrWrongIdentity = errors.New("certificate names somebody else")
	// ErrWrongFingerprint says that the certificate is not the pinned one.
	ErrWrongFingerprint = errors.New("certificate is not the pinned one")
)

// PeerError says why a peer was refused. Its texts are bounded and printable
// whatever the peer sent.
type PeerError struct {
	// Kind is one of the Err values above.
	Kind error
	// Presented describes the certificate the peer sent.
	Presented string
	// Expected describes what would have been accepted.
	Expected string
	// Cause is the verifier's own error, if there is one.
	Cause error
}

func (e *PeerError) Error() string {
	s := fmt.Sprintf("%v: presented %s, expected %s", e.Kind, e.Presented, e.Expected)
	if e.Cause != nil {
		s += " (" + bounded(e.Cause.Error()) + ")"
	}
	return s
}

// Unwrap lets errors.Is find the kind and errors.As the cause.
func (e *PeerError) Unwrap() []error { return []error{e.Kind, e.Cause} }

// FileError says what is wrong with one file of the directory, and what to do.
type FileError struct {
	// Path is the file.
	Path string
	// Problem is one sentence, with the remedy.
	Problem string
}

func (e *FileError) Error() string { return e.Path + ": " + e.Problem }

// PermissionError says that a file or the directory is open to others.
type PermissionError struct {
	// Path is the file or directory.
	Path string
	// Mode is what it has, Want what it may have at most.
	Mode, Want fs.FileMode
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("%s: mode %04o lets others in, want %04o: chmod %04o %s", e.Path, e.Mode, e.Want, e.Want, e.Path)
}

// ValidityError says that a certificate of the directory cannot be used now.
type ValidityError struct {
	// Path is the certificate.
	Path string
	// NotBefore and NotAfter bound its validity; Now lies outside.
	NotBefore, NotAfter, Now time.Time
}

func (e *ValidityError) Error() string {
	const layout = time.RFC3339
	if e.Now.Before(e.NotBefore) {
		return fmt.Sprintf("%s: not valid before %s, and it is %s: check this machine's clock",
			e.Path, e.NotBefore.Format(layout), e.Now.Format(layout))
	}
	return fmt.Sprintf("%s: expired %s, and it is %s", e.Path, e.NotAfter.Format(layout), e.Now.Format(layout))
}

// InputError says that a certificate was asked for with a value that cannot stand in it.
type InputError struct {
	// Field is the argument, Value what it held, Accepted what it may hold.
	Field, Value, Accepted string
}

func (e *InputError) Error() string {
	return fmt.Sprintf("%s %q: use %s", e.Field, e.Value, e.Accepted)
}
