package backup

import (
	"errors"
	"io"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Receive reads a backup file from the stream of BackupService.SaveBackup, no more of it than
// a file may have. Errors: those of the stream, [ErrTooLarge].
func Receive(in interface {
	Recv() (*poolwirev1.SaveBackupResponse, error)
}) ([]byte, error) {
	var out []byte
	for {
		r, err := in.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		if out = append(out, r.GetData()...); len(out) > MaxFile {
			return nil, ErrTooLarge
		}
	}
}
