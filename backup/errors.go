package backup

import (
	"errors"
	"fmt"
)

// ErrForeign says that a file is no backup.
var ErrForeign = errors.New("is no backup of Poolwire")

// ErrTooLarge says that a file is larger than any backup may be.
var ErrTooLarge = fmt.Errorf("is larger than a backup may be, %d bytes", MaxFile)

// NewerError says that a file has a format which this version does not know.
type NewerError struct {
	// Format is that of the file.
	Format uint32
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("backup has format %d, this version reads %d: use the version that wrote it, or a later one", e.Format, format)
}

// TruncatedError says that the end of a file is missing.
type TruncatedError struct {
	// Have is the size of the file in bytes, Want what it should be, or at least be where
	// Part is not the body.
	Have, Want uint64
	// Part names what ends too early.
	Part string
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("backup is cut off in its %s: it has %d of %d bytes", e.Part, e.Have, e.Want)
}

// DamagedError says that a file is not what was written.
type DamagedError struct {
	// Part names what is damaged.
	Part string
	// Cause is what was found.
	Cause error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("backup is damaged: %s: %v", e.Part, e.Cause)
}

func (e *DamagedError) Unwrap() error { return e.Cause }
