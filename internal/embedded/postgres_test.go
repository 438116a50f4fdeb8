package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// helperEnv makes the test binary run as a helper process: it starts the named server in the given directory,
// prints its address, and waits until it is killed.
const helperEnv = "PLATFORMA_EMBEDDED_TEST_HELPER"

func TestMain(m *testing.M) {
	if what, dir, ok := strings.Cut(os.Getenv(helperEnv), "="); ok {
		helper(what, dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func helper(what, dir string) {
	ctx := context.Background()
	switch what {
	case "postgres":
		p, err := StartPostgres(ctx, PostgresConfig{Dir: dir})
		report(err, "%d %d", p.Pid(), p.Port())
	case "temporary":
		p, err := StartTemporaryPostgres(ctx, io.Discard)
		report(err, "%d %s", p.Pid(), p.Dir())
	case "kafka":
		k, err := StartKafka(KafkaConfig{Dir: dir})
		report(err, "%s", k.Addr())
	case "inbox":
		i, err := StartInbox(InboxConfig{Dir: dir, Now: time.Now})
		report(err, "%s", i.SMTPAddr())
	}
	select {}
}

// report prints what startHelper returns, or the error.
func report(err error, format string, args ...any) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Printf(format+"\n", args...)
}

// startHelper runs helper in another process. It returns what the helper printed, and a function that kills it by
// SIGKILL.
func startHelper(t *testing.T, what, dir string) (output string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+what+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "failed:") {
		t.Fatalf("helper printed %q, %v", line, err)
	}
	return strings.TrimSpace(line), kill
}

// waitUntil polls until ok returns true, for at most 15 s.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	for !ok() {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			t.Fatalf("timed out while waiting until %s", what)
		}
	}
}

// enterableDir is like t.TempDir, but other users can enter the directory. PostgreSQL has to if we are root.
func enterableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "platforma-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func startPostgres(t *testing.T, cfg PostgresConfig) *Postgres {
	t.Helper()
	p, err := StartPostgres(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopPostgres(t, p) })
	return p
}

func stopPostgres(t *testing.T, p *Postgres) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func execSQL(t *testing.T, p *Postgres, database, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), p.SuperuserURL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

// queryText returns the text that a query selects.
func queryText(t *testing.T, p *Postgres, database, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), p.SuperuserURL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var s string
	if err := conn.QueryRow(context.Background(), sql).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPostgresKeepsItsDataAndPortOverARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(enterableDir(t), "not", "there yet")
	// The files that a crash leaves while initdb runs.
	if err := os.MkdirAll(filepath.Join(dir, "data", "base"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	p := startPostgres(t, PostgresConfig{Dir: dir, Fsync: true})
	execSQL(t, p, "postgres", `CREATE DATABASE "orders db"`)
	execSQL(t, p, "orders db", `CREATE TABLE kept AS SELECT 'still here' AS what`)
	for setting, want := range map[string]string{
		"fsync": "on", "listen_addresses": "127.0.0.1", "server_encoding": "UTF8", "lc_collate": "C",
		"log_parameter_max_length_on_error": "0", "max_connections": "200", "TimeZone": "UTC", "data_checksums": "on",
	} {
		if got := queryText(t, p, "template1", `SELECT current_setting('`+setting+`')`); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	stopPostgres(t, p)
	if _, err := pgx.Connect(context.Background(), p.SuperuserURL("postgres")); err == nil {
		t.Fatal("the server answers after Stop")
	}
	stopPostgres(t, p) // a second Stop is no error

	again := startPostgres(t, PostgresConfig{Dir: dir})
	if again.Port() != p.Port() {
		t.Errorf("port is %d after the restart, was %d", again.Port(), p.Port())
	}
	if got := queryText(t, again, "orders db", `SELECT what FROM kept`); got != "still here" {
		t.Errorf("kept row is %q", got)
	}
	if got := queryText(t, again, "postgres", `SELECT current_setting('fsync')`); got != "off" {
		t.Errorf("fsync is %q without Fsync", got)
	}

	// A start with Fsync must not take over a server without it.
	durable := startPostgres(t, PostgresConfig{Dir: dir, Fsync: true})
	if durable.Pid() == again.Pid() || durable.Port() != again.Port() {
		t.Errorf("got pid %d port %d, want another server than pid %d on port %d",
			durable.Pid(), durable.Port(), again.Pid(), again.Port())
	}
}

func TestPostgresOfAKilledProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := enterableDir(t)
	output, kill := startHelper(t, "postgres", dir)
	var pid, port int
	if _, err := fmt.Sscan(output, &pid, &port); err != nil {
		t.Fatalf("helper printed %q: %v", output, err)
	}
	kill()

	p := startPostgres(t, PostgresConfig{Dir: dir})
	if p.Pid() != pid || p.Port() != port {
		t.Fatalf("got pid %d port %d, want the running server: pid %d port %d", p.Pid(), p.Port(), pid, port)
	}
	if !strings.HasPrefix(queryText(t, p, "postgres", `SHOW server_version`), p.Version()) {
		t.Errorf("version is %q", p.Version())
	}
	execSQL(t, p, "postgres", `CREATE TABLE kept AS SELECT 'committed' AS what`)

	// Now the server itself is killed, and another process gets its pid.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	waitUntil(t, "the server has ended", func() bool { return !isPostmaster(pid, data) })
	file := filepath.Join(data, "postmaster.pid")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n")
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	restarted := startPostgres(t, PostgresConfig{Dir: dir})
	if got := queryText(t, restarted, "postgres", `SELECT what FROM kept`); got != "committed" {
		t.Errorf("kept row is %q", got)
	}
}

func TestPostgresStartedByRootRunsAsAnotherUserWhoCanEnterItsDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has to change users")
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	p := startPostgres(t, PostgresConfig{Dir: filepath.Join(closed, "pg"), Log: &log})
	t.Cleanup(func() {
		stopPostgres(t, p)
		if err := os.RemoveAll(p.Dir()); err != nil {
			t.Error(err)
		}
	})
	if uid, _, _ := owner(filepath.Join(p.Dir(), "data", "global", "pg_control")); uid == 0 {
		t.Error("the data belongs to root")
	}
	if strings.HasPrefix(p.Dir(), closed) {
		t.Errorf("the data is in %s, which nobody else can enter", p.Dir())
	}
	if !strings.Contains(log.String(), closed) || !strings.Contains(log.String(), p.Dir()) {
		t.Errorf("the log does not name both directories: %q", log.String())
	}
	nobody := &account{name: "nobody", uid: 65534, gid: 65534}
	if got, err := serverDir(filepath.Join(closed, "pg"), nobody, nil); err != nil || got != p.Dir() {
		t.Errorf("the next start would use %s (%v), the data is in %s", got, err, p.Dir())
	}
	info, err := os.Stat(closed)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the closed directory is now %v, %v", info.Mode(), err)
	}
}

func TestTemporaryPostgresLeavesNothingBehindWhenItsProcessIsKilled(t *testing.T) {
	t.Parallel()
	output, kill := startHelper(t, "temporary", "")
	var pid int
	var dir string
	if _, err := fmt.Sscan(output, &pid, &dir); err != nil {
		t.Fatalf("helper printed %q: %v", output, err)
	}
	if !isPostmaster(pid, filepath.Join(dir, "data")) {
		t.Fatalf("pid %d is not the server of %s", pid, dir)
	}
	kill()
	waitUntil(t, "the server has ended", func() bool { return syscall.Kill(pid, 0) != nil || isZombie(pid) })
	waitUntil(t, "its files are removed", func() bool { return !exists(dir) })
}

// isZombie reports whether a process has ended and its parent has not waited for it. This happens where no init
// process waits for orphans.
func isZombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(b), ") Z ")
}

func TestWithPostgresGivesTheCommandAServerAndReturnsItsExitCode(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "withpostgres")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/withpostgres").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	temp := enterableDir(t)
	cmd := exec.Command(bin, "--", "/bin/sh", "-c", `echo "$PLATFORMA_TEST_DSN"; read x; exit 7`)
	cmd.Env = append(os.Environ(), "PLATFORMA_TEST_DSN=", "TMPDIR="+temp)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dsn, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(context.Background(), strings.TrimSpace(dsn))
	if err != nil {
		t.Fatal(err)
	}
	var fsync string
	if err := conn.QueryRow(context.Background(), `SHOW fsync`).Scan(&fsync); err != nil || fsync != "off" {
		t.Errorf("fsync is %q, %v", fsync, err)
	}
	_ = conn.Close(context.Background())
	_ = in.Close()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %v, want exit code 7", err)
	}
	if _, err := pgx.Connect(context.Background(), strings.TrimSpace(dsn)); err == nil {
		t.Error("the server answers after the command has ended")
	}
	files, err := os.ReadDir(temp)
	if err != nil || len(files) != 0 {
		t.Errorf("files left behind: %v, %v", files, err)
	}

	// If a server is given, it is used and none is started.
	given := exec.Command(bin, "--", "/bin/sh", "-c", `[ "$PLATFORMA_TEST_DSN" = postgres://given ] && kill -TERM $$`)
	given.Env = append(os.Environ(), "PLATFORMA_TEST_DSN=postgres://given", "TMPDIR="+temp)
	if err := given.Run(); !errors.As(err, &exit) || exit.ExitCode() != 143 {
		t.Errorf("got %v, want exit code 143: 128 plus the number of SIGTERM", err)
	}
}

func TestMissingPostgresNamesTheChoices(t *testing.T) {
	t.Parallel()
	_, err := findPgBinaries(context.Background(), t.TempDir(), 0, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "has no initdb") {
		t.Errorf("got %v", err)
	}
	_, err = findPgBinaries(context.Background(), "", 14, nil, nil)
	if err == nil {
		t.Fatal("PostgreSQL 14 was found, which is not supported")
	}
	for _, choice := range []string{
		"PLATFORMA_TEST_DSN", "package manager", "PLATFORMA_PG_BIN", "npm", "remove the data directory",
	} {
		if !strings.Contains(err.Error(), choice) {
			t.Errorf("%q is not among the choices: %v", choice, err)
		}
	}
}
