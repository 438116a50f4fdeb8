package httpkit

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Panic is what may be logged of a panic. Its value may hold a customer's text, so it is left out.
type Panic struct {
	Type  string // of the value
	Stack string
}

// Attrs are the fields of a log line.
func (p Panic) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("type", p.Type), slog.String("stack", p.Stack)}
}

// Recover is deferred by a handler: after a panic it calls handle, which logs it and answers as for any
// internal error. http.ErrAbortHandler is net/http's own signal and is passed on.
func Recover(handle func(Panic)) {
	value := recover()
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		panic(value)
	}
	handle(Panic{Type: fmt.Sprintf("%T", value), Stack: string(debug.Stack())})
}
