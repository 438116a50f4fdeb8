package secretfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/secretfile"
)

func writeFile(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileOfTheOwnerIsReadWithoutItsLineEnd(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"swordfish": "swordfish", "swordfish\n": "swordfish", " swordfish\r\n": " swordfish", "": "",
		"0123456789ab": "0123456789ab",
	} {
		if got, err := secretfile.Read("password file", writeFile(t, text, 0o400), 12); got != want || err != nil {
			t.Errorf("Read() of %q = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestAFileThatOthersMayReadIsRefusedWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for path, want := range map[string]string{
		writeFile(t, "swordfish", 0o640):    "password file",
		writeFile(t, "swordfish", 0o602):    "has mode 0602: make it 0600 (chmod 600)",
		writeFile(t, "swordfish", 0o601):    "has mode 0601",
		writeFile(t, "swordfish-12", 0o600): "more than 11 bytes",
		t.TempDir():                         "no regular file",
		missing:                             "open password file",
	} {
		got, err := secretfile.Read("password file", path, 11)
		if got != "" || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("Read() = %q, %v; want an error with %q and without the secret", got, err, want)
		}
		if errors.Is(err, fs.ErrNotExist) != (path == missing) {
			t.Errorf("%s: %v; want fs.ErrNotExist for a missing file only", path, err)
		}
	}
}
