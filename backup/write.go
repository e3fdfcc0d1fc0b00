package backup

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile writes a file that only its owner can read. What was there before is replaced
// when the new one is whole and on the disk; after an error it is as it was.
func WriteFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, tempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	// The new name is as lasting as the file only once the directory is written.
	d, openErr := os.Open(dir)
	if openErr != nil {
		return openErr
	}
	return errors.Join(d.Sync(), d.Close())
}

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".poolwire-backup-"

// Tidy removes from a directory what a crash left of files that were being written there.
// It must not run beside WriteFile in that directory.
func Tidy(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
