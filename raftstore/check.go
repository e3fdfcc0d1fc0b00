package raftstore

import (
	"fmt"
	"strings"
	"unicode/utf8"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Limits the state machine holds to whatever a proposer lets through.
const (
	maxNameLabel   = 128  // characters
	maxDescription = 1024 // characters
	maxKey         = 128  // bytes of a UUID or node id
	maxRequestID   = 64   // characters
	maxBridgeName  = 15   // bytes, IFNAMSIZ less the final NUL
	maxVNI         = 1<<24 - 1

	maxRulePrefixes  = 1024 // remote_prefixes of a policy rule
	maxRulePorts     = 256  // local_ports or remote_ports of a policy rule
	maxRuleVlans     = 64
	maxLabels        = 64  // of a VIF
	maxAddressPairs  = 128 // of a VIF
	maxRouters       = 32  // virtual routers of a VIF
	maxRouterAddress = 32  // addresses of a virtual router
	maxTrunks        = 256
	maxCommunity     = 64 // characters
)

// checkKey refuses what cannot name a resource. UUIDs are compared as they
// are; the proposer brings them to lower case.
func checkKey(field, value string) error {
	switch {
	case value == "":
		return &InvalidError{Field: field, Value: value, Reason: "is required"}
	case len(value) > maxKey:
		return &InvalidError{Field: field, Value: value[:maxKey], Reason: "is too long"}
	case strings.Contains(value, "/"):
		return &InvalidError{Field: field, Value: value, Reason: `holds a "/"`}
	}
	return nil
}

// checkName refuses an empty or overlong name_label.
func checkName(name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxNameLabel {
		return &InvalidError{Field: "name_label", Value: name, Reason: "must have 1 to 128 characters"}
	}
	return nil
}

func checkDescription(text string) error {
	if utf8.RuneCountInString(text) > maxDescription {
		return &InvalidError{Field: "name_description", Value: text, Reason: "must have at most 1024 characters"}
	}
	return nil
}

// checkCount refuses a list that is too long.
func checkCount(field string, n, most int) error {
	if n > most {
		return &InvalidError{Field: field, Value: fmt.Sprintf("%d entries", n), Reason: fmt.Sprintf("must be at most %d", most)}
	}
	return nil
}

// clip cuts a value to what an error may carry.
func clip(value string) string { return value[:min(len(value), maxKey)] }

// checkEtag compares the etag a command gave, if any, with the stored one.
func checkEtag(kind Kind, id, have, want string) error {
	if want != "" && want != have {
		return &ConflictError{Kind: kind, ID: id, Have: have, Want: want}
	}
	return nil
}

// checkUnchanged refuses a change of a field that is fixed after creation.
func checkUnchanged(field, have, want string) error {
	if have != want {
		return &InvalidError{Field: field, Value: want, Reason: "cannot be changed; it is " + have}
	}
	return nil
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// lockingDefault gives DefaultLockingMode its default.
func lockingDefault(m poolwirev1.DefaultLockingMode) poolwirev1.DefaultLockingMode {
	if m == poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNSPECIFIED {
		return poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED
	}
	return m
}
