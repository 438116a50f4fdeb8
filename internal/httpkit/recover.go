package httpkit

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Panic is what may be logged of a panic. The value is left out, because it may contain a customer's text.
type Panic struct {
	Type  string // the type of the value
	Stack string
}

// Attrs returns the attributes for the log.
func (p Panic) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("type", p.Type), slog.String("stack", p.Stack)}
}

// Recover must be deferred by a handler. After a panic it calls handle, which logs the panic and answers as for
// any internal error. It passes http.ErrAbortHandler on, because net/http uses it as a signal.
func Recover(handle func(Panic)) {
	value := recover()
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler { //nolint:errorlint // the value of a panic, compared as net/http does
		panic(value)
	}
	handle(Panic{Type: fmt.Sprintf("%T", value), Stack: string(debug.Stack())})
}
