package vault_test

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/platforma-cloud/orders/internal/vault"
)

const digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func keyFile(t *testing.T, content string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeyFileReadableByOthersIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		if _, err := vault.OpenKEKFile(keyFile(t, digits+"\n", mode)); err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666, 0o777} {
		path := keyFile(t, digits, mode)
		for name, open := range map[string]func() (vault.KEK, error){
			"OpenKEKFile": func() (vault.KEK, error) { return vault.OpenKEKFile(path) },
			"OpenOrMakeKEKFile": func() (vault.KEK, error) {
				return vault.OpenOrMakeKEKFile(path, rand.Reader, slog.New(slog.DiscardHandler))
			},
		} {
			if _, err := open(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("%s with mode %04o: %v, want a refusal that says chmod 600", name, mode, err)
			}
		}
	}
}

func TestMalformedKeyFileIsRefusedWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty": "", "short": digits[:62], "long": digits + "00", "not hex": "zz" + digits[2:],
		"two lines": digits[:32] + "\n" + digits[32:], "padded": " " + digits,
	} {
		_, err := vault.OpenKEKFile(keyFile(t, content, 0o600))
		if err == nil {
			t.Errorf("%s key file opens", name)
			continue
		}
		if content != "" && strings.Contains(err.Error(), content[:8]) || strings.Contains(err.Error(), "U+") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
	if _, err := vault.OpenKEKFile(t.TempDir()); err == nil {
		t.Error("a directory opens as a key file")
	}
}

func TestAbsentKeyFileIsNotMadeOutsideDevelopment(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	if _, err := vault.OpenKEKFile(path); err == nil {
		t.Error("an absent file opens")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("OpenKEKFile made the file")
	}
}

func TestDevelopmentKeyIsMadeOncePrivatelyAndLoudly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	first, err := vault.OpenOrMakeKEKFile(path, rand.Reader, logger)
	if err != nil {
		t.Fatalf("first run: %v", err)
	}
	warned := log.String()
	second, err := vault.OpenOrMakeKEKFile(path, rand.Reader, logger)
	if err != nil || second.Fingerprint() != first.Fingerprint() {
		t.Fatalf("second run: key %s after %s, %v", second.Fingerprint(), first.Fingerprint(), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file made: %v, %v; want mode 0600", info.Mode(), err)
	}
	if !strings.Contains(warned, "level=WARN") || !strings.Contains(warned, path) || log.String() != warned {
		t.Errorf("log of both runs: %q; want one warning, naming the file", log.String())
	}
	content, err := os.ReadFile(path)
	if err != nil || strings.Contains(log.String(), strings.TrimSpace(string(content))) {
		t.Errorf("the log holds the key (read: %v)", err)
	}
	if rest, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(rest) != 1 {
		t.Errorf("left behind: %v", rest)
	}
}

func TestSeveralFirstStartsAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	var wg sync.WaitGroup
	prints := make([]string, 8)
	for i := range prints {
		wg.Go(func() {
			kek, err := vault.OpenOrMakeKEKFile(path, rand.Reader, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Errorf("start %d: %v", i, err)
			}
			prints[i] = kek.Fingerprint()
		})
	}
	wg.Wait()
	for _, p := range prints {
		if p != prints[0] || p == "" {
			t.Fatalf("keys differ: %v", prints)
		}
	}
}

func TestAKeyFileThatCannotBeMadeLeavesNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "kek")
	if _, err := vault.OpenOrMakeKEKFile(path, iotest.ErrReader(os.ErrDeadlineExceeded),
		slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("a key was made without random bytes")
	}
	if rest, _ := os.ReadDir(dir); len(rest) != 0 {
		t.Errorf("left behind: %v", rest)
	}
	if _, err := vault.NewKEK(make([]byte, 16)); err == nil {
		t.Error("a KEK of 16 bytes was accepted")
	}
}
