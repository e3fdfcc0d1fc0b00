// Package deploy holds what an installation needs beside the programs: the systemd
// unit and the example configuration. It has no code, only tests of these files.
package deploy
