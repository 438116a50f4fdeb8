package httpkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// MaxBody is the maximum size of a request body in bytes, for JSON and for forms. A larger one is a 413.
const MaxBody = 64 << 10

// ReadBody reads a body of at most MaxBody bytes, and makes r.Body readable again for a decoder.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, bodyFault(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return raw, nil
}

// bodyFault returns the fault for a body that could not be read.
func bodyFault(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &StatusError{
			Status: http.StatusRequestEntityTooLarge, Code: CodeBodyTooLarge,
			Detail: fmt.Sprintf("A body may have at most %d bytes.", large.Limit),
		}
	}
	return Malformed("The body could not be read to its end.")
}
