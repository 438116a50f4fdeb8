package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// holdFolder keeps a second installation out of a data folder: it would take over the servers of the
// first, and end them when it ends. The kernel lets go when the process dies, however it dies. One
// that is just ending gets until ctx ends to let go.
func holdFolder(ctx context.Context, dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock the data folder %s: %w", dir, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil,
				errors.Join(fmt.Errorf("the data folder %s is in use by another process: stop that one, or choose another --data",
					dir), f.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// held reports whether some process holds the lock of a file.
func held(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
