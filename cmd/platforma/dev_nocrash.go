//go:build !crashpoints

package main

import "github.com/platforma-cloud/orders/internal/process"

// crashSeam is nothing in a shipped binary.
func crashSeam() (process.Seam, error) { return nil, nil } //nolint:nilnil // see dev_crash.go
