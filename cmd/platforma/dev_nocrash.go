//go:build !crashpoints

package main

import "github.com/platforma-cloud/orders/internal/process"

// crashFailpoints is nothing in a shipped binary.
func crashFailpoints() (process.Failpoints, error) { return nil, nil } //nolint:nilnil // see dev_crash.go
