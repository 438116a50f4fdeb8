package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the unprivileged user as which PostgreSQL runs if we are root, because it refuses to run
// as root. A nil account is the user of this process.
type account struct {
	name     string
	uid, gid uint32
}

// unprivilegedAccount returns the account for a server with the data directory dataDir: the owner of the data
// if there is some, otherwise the first of postgres, _postgres (macOS) and nobody that exists. It
// returns nil if we are not root.
func unprivilegedAccount(dataDir string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if uid, gid, ok := owner(dataDir); ok && uid != 0 {
		return &account{name: "uid " + strconv.FormatUint(uint64(uid), 10), uid: uid, gid: gid}, nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU != nil || errG != nil || uid == 0 {
			continue
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user \"postgres\" nor \"nobody\" " +
		"to run it as: start this program as an ordinary user, or add a user \"postgres\"")
}

// process returns the attributes of a command that runs as the account in a session of its own. The
// session keeps our signals and our own end away from it.
func (a *account) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// canEnter reports whether the account can enter dir. It starts a shell there to ask the kernel, because
// file modes do not show access lists or user namespaces.
func (a *account) canEnter(dir string) (bool, error) {
	if a == nil {
		return true, nil
	}
	cmd := exec.Command("/bin/sh", "-c", ":")
	cmd.Dir = dir
	cmd.SysProcAttr = a.process()
	err := cmd.Run()
	if errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EPERM) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("run a process as %s: %w", a.name, err)
	}
	return true, nil
}

// createOwned creates a directory that only the account can use, and gives it the ownership of all files in it.
func (a *account) createOwned(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if a == nil {
		return os.Chmod(dir, 0o700)
	}
	if uid, gid, ok := owner(dir); !ok || uid != a.uid || gid != a.gid {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, int(a.uid), int(a.gid))
		})
		if err != nil {
			return fmt.Errorf("change the owner of %s to %s: %w", dir, a.name, err)
		}
	}
	return os.Chmod(dir, 0o700)
}

// owner returns the owner of a file. ok is false if there is no such file.
func owner(path string) (uid, gid uint32, ok bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}

// serverDir returns the directory for a server's files, and creates it if it is missing. It is dir, unless
// we are root and the account cannot enter dir because a parent directory is closed. Then it is a directory
// below sharedDir whose name is derived from dir, and the log says so.
func serverDir(dir string, as *account, log io.Writer) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if as == nil {
		return dir, os.MkdirAll(dir, 0o700)
	}
	if err := makeEnterable(dir); err != nil {
		return "", err
	}
	ok, err := as.canEnter(dir)
	if err != nil || ok {
		return dir, err
	}
	root, err := sharedDir(as)
	if err != nil {
		return "", fmt.Errorf("user %s cannot enter %s because of %s (allow it with: chmod o+x %[3]s): %w",
			as.name, dir, closedParent(dir, as), err)
	}
	sum := sha256.Sum256([]byte(dir))
	other := filepath.Join(root, hex.EncodeToString(sum[:8]))
	if err := makeEnterable(other); err != nil {
		return "", err
	}
	logf(log, "PostgreSQL has to run as user %s, who cannot enter %s because of %s: its files are in %s instead",
		as.name, dir, closedParent(dir, as), other)
	return other, nil
}

// makeEnterable creates dir and its missing parents, so that others can enter them but not list their files.
// Parents that exist keep their modes; an existing dir is made enterable.
func makeEnterable(dir string) error {
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		if info.Mode().Perm()&0o011 == 0o011 {
			return nil
		}
		return os.Chmod(dir, info.Mode().Perm()|0o011)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(dir); !exists(parent) {
		if err := makeEnterable(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(dir, 0o711) // the umask may have restricted the mode of Mkdir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sharedDir returns the directory in which root keeps files for an unprivileged account. It is below
// /var/lib, or otherwise below a directory for temporary files. Its name can be guessed, so a directory
// that somebody else created is not used.
func sharedDir(as *account) (string, error) {
	var firstErr error
	for _, base := range []string{"/var/lib", "/var/tmp", os.TempDir()} {
		if !exists(base) {
			continue
		}
		dir := filepath.Join(base, "platforma-embedded")
		err := makeEnterable(dir)
		if err == nil {
			err = checkTrusted(dir)
		}
		if err == nil {
			ok, rerr := as.canEnter(dir)
			if ok {
				return dir, nil
			}
			err = rerr
		}
		if firstErr == nil && err != nil {
			firstErr = err
		}
	}
	return "", fmt.Errorf("no directory that %s can enter: %w", as.name, firstErr)
}

// checkTrusted returns an error if somebody else than root can change a directory.
func checkTrusted(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	uid, _, ok := owner(dir)
	if !info.IsDir() || !ok || uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that only root can write", dir)
	}
	return nil
}

// closedParent returns the topmost directory on the path to dir that the account cannot enter.
func closedParent(dir string, as *account) string {
	closed := dir
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		if ok, err := as.canEnter(p); err == nil && !ok {
			closed = p
		}
		if p == filepath.Dir(p) {
			return closed
		}
	}
}
