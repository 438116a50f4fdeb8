package embedded

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Ports are below the ranges that the kernel uses for outgoing connections (from 32768 on Linux, from 49152
// on macOS). Otherwise a client could be given our server's port while the server is down for a moment.
const (
	firstPort = 16000
	lastPort  = 31999
)

// choosePort returns the port on which a server should listen: want if it is set, otherwise the port that
// is remembered in dir under name if it is still free, otherwise any free one.
func choosePort(dir, name string, want int) (int, error) {
	if want != 0 {
		return want, nil
	}
	if p := rememberedPort(dir, name); p != 0 && portIsFree(p) {
		return p, nil
	}
	return freePort()
}

// rememberedPort returns the port that rememberPort stored, or 0 if there is none.
func rememberedPort(dir, name string) int {
	if dir == "" {
		return 0
	}
	b, err := os.ReadFile(filepath.Join(dir, name+".port"))
	if err != nil {
		return 0
	}
	p, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || p < 1 || p > 65535 {
		return 0
	}
	return p
}

// rememberPort stores a server's port in dir, so that the next start has the same address.
func rememberPort(dir, name string, port int) error {
	if dir == "" || rememberedPort(dir, name) == port {
		return nil
	}
	if err := writeDurably(filepath.Join(dir, name+".port"), []byte(strconv.Itoa(port)+"\n"), 0o644); err != nil {
		return fmt.Errorf("remember the %s port: %w", name, err)
	}
	return nil
}

// freePort returns a port on which nobody listens now. Another process may take it before the caller does;
// callers try again if they can.
func freePort() (int, error) {
	const span = lastPort - firstPort + 1
	start := rand.IntN(span)
	for i := range span {
		if p := firstPort + (start+i)%span; portIsFree(p) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d on %s", firstPort, lastPort, loopback)
}

func portIsFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// listenRemembered opens the listener of a server in this process on its port (choosePort), and remembers the
// port.
func listenRemembered(dir, name string, want int) (net.Listener, error) {
	for attempt := 1; ; attempt++ {
		port, err := choosePort(dir, name, want)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			// Another process may have taken the port meanwhile. A port that was given is not changed.
			if want == 0 && attempt < 5 {
				continue
			}
			return nil, fmt.Errorf("listen for %s: %w", name, err)
		}
		if err := rememberPort(dir, name, port); err != nil {
			_ = l.Close()
			return nil, err
		}
		return l, nil
	}
}
