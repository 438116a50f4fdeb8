//go:build !crashpoints

package main

import "github.com/platforma-cloud/orders/internal/process"

// crashFailpoints returns no failpoints: shipped binaries have none.
func crashFailpoints() (process.Failpoints, error) { return nil, nil } //nolint:nilnil // see dev_crash.go
