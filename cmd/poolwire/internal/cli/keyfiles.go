package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"poolwire/privatefile"
)

// keyFiles is where a key, its certificate and what is to be trusted are written: the key
// readable by its owner only, in a directory that is made so.
type keyFiles struct {
	dir       string
	key, cert string
	replace   bool
}

func (f *keyFiles) register(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", ".", "directory to write to, made when it is not there")
	c.Flags().BoolVar(&f.replace, "replace", false, "replace files that are there already")
}

func (keyFiles) caName() string { return "ca.pem" }

// check finds out before a certificate is made whether it could be written.
func (f keyFiles) check() error {
	if f.replace {
		return nil
	}
	for _, name := range []string{f.key, f.cert, f.caName()} {
		if _, err := os.Lstat(filepath.Join(f.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fmt.Errorf("%s is there already; name another directory, or say --replace", name)
			}
			return usageError{fmt.Errorf("--dir %q: %w", f.dir, err)}
		}
	}
	return nil
}

// write writes the three files, each complete or not at all, the certificate last.
func (f keyFiles) write(key, cert, ca []byte) error {
	if err := privatefile.MakeDir(f.dir); err != nil {
		return usageError{fmt.Errorf("--dir %q: %w", f.dir, err)}
	}
	for _, file := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{{f.key, key, 0o600}, {f.caName(), ca, 0o644}, {f.cert, cert, 0o644}} {
		if err := f.writeOne(file.name, file.data, file.mode); err != nil {
			return usageError{fmt.Errorf("--dir %q: %w", f.dir, err)}
		}
	}
	return nil
}

func (f keyFiles) writeOne(name string, data []byte, mode fs.FileMode) error {
	path := filepath.Join(f.dir, name)
	if f.replace {
		return privatefile.WriteMode(path, data, mode)
	}
	return privatefile.Create(path, data, mode) // fails when somebody was faster
}
