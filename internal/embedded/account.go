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

// account is the unprivileged user PostgreSQL runs as when we are root, since it refuses root. A nil
// account stands for "as ourselves".
type account struct {
	name     string
	uid, gid uint32
}

// unprivileged is the account for a server whose data may already lie in dataDir: the owner of that
// data, else the first of postgres, _postgres (macOS) and nobody that exists. It is nil when we are
// not root.
func unprivileged(dataDir string) (*account, error) {
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
	return nil,
		errors.New("PostgreSQL refuses to run as root and there is neither a user \"postgres\" nor \"nobody\" to run it " +
			"as: start this program as an ordinary user, or add a user \"postgres\"")
}

// process sets who a command runs as, and puts it in a session of its own: signals meant for us, and
// our own end, do not reach it.
func (a *account) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// reaches reports whether the account can enter dir. The kernel is asked, by starting a shell there,
// because modes alone do not tell of access lists or of user namespaces.
func (a *account) reaches(dir string) (bool, error) {
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

// own makes a directory that only the account can use, and hands it and what is in it over.
func (a *account) own(dir string) error {
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
			return fmt.Errorf("hand %s over to %s: %w", dir, a.name, err)
		}
	}
	return os.Chmod(dir, 0o700)
}

// owner is who a file belongs to; false when it is not there.
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

// home is the directory a server's files really go to: dir, made if it is missing, or, when we are
// root and the account cannot enter it because some directory above is closed, a place of ours named
// after dir. The log says so in that case.
func home(dir string, as *account, log io.Writer) (string, error) {
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
	ok, err := as.reaches(dir)
	if err != nil || ok {
		return dir, err
	}
	root, err := commonPlace(as)
	if err != nil {
		return "", fmt.Errorf("user %s cannot enter %s because of %s (allow it with: chmod o+x %[3]s): %w", as.name, dir,
			closedParent(dir, as), err)
	}
	sum := sha256.Sum256([]byte(dir))
	other := filepath.Join(root, hex.EncodeToString(sum[:8]))
	if err := makeEnterable(other); err != nil {
		return "", err
	}
	logf(log, "user %s, whom PostgreSQL has to run as, cannot enter %s because of %s: its files are in %s instead",
		as.name, dir, closedParent(dir, as), other)
	return other, nil
}

// makeEnterable makes dir and what is missing above it so that others may pass through but not look
// in. Directories above that were there before keep their modes; dir itself is ours to open.
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
	return os.Chmod(dir, 0o711) // Mkdir's mode is cut by the umask
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// commonPlace is where root keeps what an unprivileged account must reach: below /var/lib, else
// below a directory for temporary files. The name can be guessed, so a directory somebody else made
// is not taken.
func commonPlace(as *account) (string, error) {
	var firstErr error
	for _, base := range []string{"/var/lib", "/var/tmp", os.TempDir()} {
		if !exists(base) {
			continue
		}
		dir := filepath.Join(base, "platforma-embedded")
		err := makeEnterable(dir)
		if err == nil {
			err = trusted(dir)
		}
		if err == nil {
			ok, rerr := as.reaches(dir)
			if ok {
				return dir, nil
			}
			err = rerr
		}
		if firstErr == nil && err != nil {
			firstErr = err
		}
	}
	return "", fmt.Errorf("no place that %s can enter: %w", as.name, firstErr)
}

// trusted fails for a directory that somebody else than root can change.
func trusted(dir string) error {
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

// closedParent is the topmost directory on the way to dir that the account cannot enter.
func closedParent(dir string, as *account) string {
	closed := dir
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		if ok, err := as.reaches(p); err == nil && !ok {
			closed = p
		}
		if p == filepath.Dir(p) {
			return closed
		}
	}
}
