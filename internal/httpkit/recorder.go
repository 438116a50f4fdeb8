package httpkit

import "net/http"

// Recorder is a http.ResponseWriter that remembers the status, and so whether the answer has begun.
type Recorder struct {
	http.ResponseWriter
	status int
}

// Status returns the status of the answer, or 0 if no answer has begun.
func (r *Recorder) Status() int { return r.status }

// WriteHeader remembers the status and sends it.
func (r *Recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write writes to the answer. If no status was sent, it is 200.
func (r *Recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap returns the wrapped writer, so that http.ResponseController reaches the connection.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is a http.ResponseWriter that drops the answer.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
