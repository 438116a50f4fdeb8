package embedded

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strconv"
)

//go:embed inboxpage
var inboxFiles embed.FS

var inboxTemplates = template.Must(template.New("").
	Funcs(template.FuncMap{"size": readableSize}).
	ParseFS(inboxFiles, "inboxpage/*.html"))

// listedMessage is a message as the pages show it, with the first earlier message that has the same
// Message-ID. Mail is sent at least once (D18), so a message may be sent again after a lost answer.
type listedMessage struct {
	Message
	RepeatOf int // id of the earlier message; 0: none
}

// pages returns the handler of the pages and of the API. Both are read-only.
func (i *Inbox) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", i.list)
	mux.HandleFunc("GET /messages/{id}", i.show)
	mux.HandleFunc("GET /messages/{id}/parts/{number}", i.download)
	mux.HandleFunc("GET /api/messages", i.listJSON)
	mux.HandleFunc("GET /api/messages/{id}/raw", i.source)
	mux.HandleFunc("GET /inbox.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, inboxFiles, "inboxpage/inbox.css")
	})
	return localOnly(mux)
}

// localOnly sets the security headers of every answer, and refuses host names other than this machine's: a
// website whose name was made to resolve to this address must not read the mail (DNS rebinding).
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host != loopback && host != "localhost" {
			http.Error(w, "this inbox answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (i *Inbox) list(w http.ResponseWriter, _ *http.Request) {
	messages := withRepeats(i.store.list())
	slices.Reverse(messages)
	render(w, "list.html", struct {
		Messages []listedMessage
		SMTPAddr string
	}{messages, i.smtpAddr})
}

func (i *Inbox) show(w http.ResponseWriter, r *http.Request) {
	m, raw, ok := i.message(w, r)
	if !ok {
		return
	}
	from, parts, err := readParts(raw)
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if from == "" {
		from = m.From
	}
	shown := listedMessage{Message: m}
	for _, l := range withRepeats(i.store.list()) {
		if l.ID == m.ID {
			shown = l
		}
	}
	render(w, "message.html", struct {
		Message listedMessage
		From    string
		Parts   []part
		Fault   string
	}{shown, from, parts, fault})
}

func (i *Inbox) download(w http.ResponseWriter, r *http.Request) {
	_, raw, ok := i.message(w, r)
	if !ok {
		return
	}
	_, parts, _ := readParts(raw) // the parts that can be read, if the message is malformed
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || n < 1 || n > len(parts) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // never the type that the mail names
	name := fmt.Sprintf("message-%s-part-%d", r.PathValue("id"), n)
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	_, _ = w.Write(parts[n-1].body)
}

func (i *Inbox) listJSON(w http.ResponseWriter, _ *http.Request) {
	messages := i.store.list()
	if messages == nil {
		messages = []Message{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(messages) // an error means that the client is gone
}

func (i *Inbox) source(w http.ResponseWriter, r *http.Request) {
	_, raw, ok := i.message(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	_, _ = w.Write(raw)
}

// message returns the message that a request names. If ok is false, it has already answered with an error.
func (i *Inbox) message(w http.ResponseWriter, r *http.Request) (Message, []byte, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.NotFound(w, r)
		return Message{}, nil, false
	}
	m, ok := i.store.get(id)
	if !ok {
		http.NotFound(w, r)
		return Message{}, nil, false
	}
	raw, err := i.store.raw(id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return Message{}, nil, false
	}
	return m, raw, true
}

// render writes a page. If the template fails, it writes only the error.
func render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := inboxTemplates.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// withRepeats adds to each message the first earlier one with the same Message-ID.
func withRepeats(messages []Message) []listedMessage {
	first := make(map[string]int)
	out := make([]listedMessage, len(messages))
	for n, m := range messages {
		out[n].Message = m
		if m.MessageID == "" {
			continue
		}
		if id, ok := first[m.MessageID]; ok {
			out[n].RepeatOf = id
			continue
		}
		first[m.MessageID] = m.ID
	}
	return out
}

// readableSize formats a number of bytes.
func readableSize(n int) string {
	if n < 1000 {
		return strconv.Itoa(n) + " B"
	}
	if n < 1_000_000 {
		return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64) + " kB"
	}
	return strconv.FormatFloat(float64(n)/1_000_000, 'f', 1, 64) + " MB"
}
