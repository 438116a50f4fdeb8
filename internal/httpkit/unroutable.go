package httpkit

import (
	"net/http"
	"path"
)

// Unroutable returns the fault of a request that no route of the mux serves, a 404 or 405, or nil if a route
// does. It has to be called before the mux, which would answer in plain text and redirect a path that is not
// clean. hint is the detail of a 404, and says where the client finds the paths that exist.
func Unroutable(mux *http.ServeMux, r *http.Request, hint string) error {
	absent := &StatusError{Status: http.StatusNotFound, Code: CodeRouteNotFound, Detail: hint}
	if p := r.URL.Path; p == "" || path.Clean(p) != p {
		return absent
	}
	h, pattern := mux.Handler(r)
	if pattern != "" && r.Method != http.MethodConnect {
		return nil
	}
	probe := Recorder{ResponseWriter: discard{http.Header{}}}
	h.ServeHTTP(&probe, r)
	if probe.Status() != http.StatusMethodNotAllowed {
		return absent
	}
	return &StatusError{
		Status: http.StatusMethodNotAllowed, Code: CodeMethodNotAllowed,
		Detail: "The Allow header lists the methods of this path.", Allow: probe.Header().Get("Allow"),
	}
}
