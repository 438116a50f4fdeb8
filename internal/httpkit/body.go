package httpkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// MaxBody is the most bytes a request body may have, of the API or of a form: 413 beyond.
const MaxBody = 64 << 10

// ReadBody reads at most MaxBody bytes and puts them back for a decoder.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, bodyFault(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return raw, nil
}

// bodyFault is for a body that could not be read.
func bodyFault(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &StatusError{
			Status: http.StatusRequestEntityTooLarge, Code: CodeBodyTooLarge,
			Detail: fmt.Sprintf("A body has at most %d bytes.", large.Limit),
		}
	}
	return Malformed("The body could not be read to its end.")
}
