// Package secretfile reads keys and passwords from files that only their owner may read. Its errors never
// contain the content of a file.
package secretfile

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Read returns the text of a regular file, without trailing line ends. It refuses a file that group or others
// may read, write or execute, and a file of more than limit bytes. Errors call the file what, such as
// "key file". For a missing file the error is fs.ErrNotExist.
func Read(what, path string, limit int) (string, error) {
	file, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return "", fmt.Errorf("open %s: %w", what, err)
	}
	defer func() { _ = file.Close() }() // opened for reading: nothing can be lost
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("open %s: %w", what, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s %s is no regular file", what, path)
	}
	if wide := info.Mode().Perm() & 0o077; wide != 0 {
		return "", fmt.Errorf(
			"%s %s has mode %04o: make it 0600 (chmod 600), and replace the secret if others may have read it",
			what, path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	if len(text) > limit {
		return "", fmt.Errorf("%s %s holds more than %d bytes", what, path, limit)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
