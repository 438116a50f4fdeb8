//go:build crashpoints

package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/platforma-cloud/orders/internal/failpoint"
	"github.com/platforma-cloud/orders/internal/process"
)

// crashFailpoints returns a failpoint that kills this process at the moment that PLATFORMA_CRASH names, such as
// "CP-D7 before:2". No shipped binary has it: the build tag is for tests.
func crashFailpoints() (process.Failpoints, error) {
	text := os.Getenv("PLATFORMA_CRASH")
	if text == "" {
		return nil, nil //nolint:nilnil // no failpoint is set, which is no error
	}
	m, err := failpoint.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("PLATFORMA_CRASH: %w", err)
	}
	return failpoint.NewFailpoint(func(failpoint.Moment) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing of this goroutine happens after the signal
	}, m), nil
}
