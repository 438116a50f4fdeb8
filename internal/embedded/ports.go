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

// Ports are drawn from below the ranges the kernel gives to outgoing connections (32768 and up on
// Linux, 49152 and up on macOS): a port that is free now is then not taken by somebody's client
// while our server is down for a moment.
const (
	firstPort = 16000
	lastPort  = 31999
)

// choosePort is the port a server should listen on: want if it is set, else the one remembered in
// dir under name if it is still free, else any free one.
func choosePort(dir, name string, want int) (int, error) {
	if want != 0 {
		return want, nil
	}
	if p := rememberedPort(dir, name); p != 0 && portIsFree(p) {
		return p, nil
	}
	return freePort()
}

// rememberedPort is the port kept by rememberPort, 0 when there is none.
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

// rememberPort keeps a server's port in dir, so that the next start has the same address.
func rememberPort(dir, name string, port int) error {
	if dir == "" || rememberedPort(dir, name) == port {
		return nil
	}
	if err := writeDurably(filepath.Join(dir, name+".port"), []byte(strconv.Itoa(port)+"\n"), 0o644); err != nil {
		return fmt.Errorf("remember the %s port: %w", name, err)
	}
	return nil
}

// freePort finds a port nobody listens on right now. Another process may still be faster: callers
// that can, try again.
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

// listenRemembered opens the listener of a server in this process on its port (choosePort) and
// remembers it.
func listenRemembered(dir, name string, want int) (net.Listener, error) {
	for attempt := 1; ; attempt++ {
		port, err := choosePort(dir, name, want)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			// Between choosing and listening somebody else may have come; a wanted port is not ours to change.
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
