package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// apiFlags holds the flags of commands that call the API: its address and the key. These commands use nothing
// else, so any program can do what they do.
type apiFlags struct {
	API     string `env:"PLATFORMA_API" placeholder:"URL" help:"Address of the API. Without it, the API of the development installation in --data is called."`
	KeyFile string `type:"path" placeholder:"FILE" help:"File with the API key. Without it, PLATFORMA_API_KEY is read. No flag takes the key itself, because other users of the machine could see it."`
	Data    string `default:".data" type:"path" help:"Data folder of a running development installation: its dev.json holds the address and the keys."`
	As      string `default:"operator" enum:"customer,operator,admin,auditor" help:"The role whose key in dev.json is used."`
	Tenant  string `placeholder:"SLUG" help:"The organisation in dev.json; the first when not given."`
	JSON    bool   `help:"Print the API's own answer as JSON."`
}

// keyVariable is the environment variable with the API key.
const keyVariable = "PLATFORMA_API_KEY"

// session is the address of the API with a key.
type session struct {
	base, key string
	hint      string // what to do when nothing answers at the address
}

func (r *apiFlags) open() (session, error) {
	if r.API != "" {
		key, err := r.readKey()
		return session{base: strings.TrimRight(r.API, "/"), key: key, hint: "is --api right?"}, err
	}
	d, err := readAddresses(r.Data)
	if err != nil {
		return session{}, err
	}
	for _, t := range d.Tenants {
		if r.Tenant != "" && t.Slug != r.Tenant {
			continue
		}
		for _, u := range t.Users {
			if u.Role == r.As {
				return session{base: d.API, key: u.APIKey, hint: "start it with: platforma dev --data " + r.Data}, nil
			}
		}
	}
	return session{}, fmt.Errorf("dev.json in %s has no %s of an organisation %q: choose another --as or --tenant",
		r.Data, r.As, r.Tenant)
}

func (r *apiFlags) readKey() (string, error) {
	if r.KeyFile == "" {
		if key := os.Getenv(keyVariable); key != "" {
			return key, nil
		}
		return "", errors.New("--api needs a key: write it to a file and name the file with --key-file, or set " +
			keyVariable)
	}
	raw, err := os.ReadFile(r.KeyFile)
	if err != nil {
		return "", fmt.Errorf("read the API key: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// readAddresses reads dev.json of a running development installation.
func readAddresses(data string) (Addresses, error) {
	var d Addresses
	raw, err := os.ReadFile(filepath.Join(data, "dev.json"))
	if err != nil {
		return d, fmt.Errorf("no development installation runs on %s; start one (platforma dev), name its folder (--data), "+
			"or call another API (--api): %w", data, err)
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("read dev.json in %s: %w", data, err)
	}
	return d, nil
}

// requestTimeout is how long a request of a command may take.
const requestTimeout = 30 * time.Second

// call sends a request and decodes the answer into a value, which may be nil; raw is the unchanged answer. A
// write carries an idempotency key, so that the API applies a request that the network repeats only once.
func (s session) call(ctx context.Context, method, path string, body, into any) (raw []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode %s %s: %w", method, path, err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, payload)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", s.base, err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if method != http.MethodGet {
		req.Header.Set("Idempotency-Key", tenant.ID(process.NewID()).String())
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("nothing answers at %s (%s): %w", s.base, s.hint, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if raw, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20)); err != nil {
		return nil, fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		p := &apiProblem{Status: resp.StatusCode}
		_ = json.Unmarshal(raw, p) // an answer that is not a problem document still has its status
		return raw, p
	}
	if into == nil {
		return raw, nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return raw, fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	return raw, nil
}

// apiProblem is a problem document with which the API refused a request.
type apiProblem struct {
	Status    int
	Code      string `json:"code"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer   *string `json:"pointer"`
		Parameter string  `json:"parameter"`
		Message   string  `json:"message"`
		Allowed   []any   `json:"allowed"`
	} `json:"errors"`
}

// remedies say what to do about a status, besides what the API says.
var remedies = map[int]string{
	http.StatusUnauthorized: "The key is not valid here: it may be expired or revoked. Use another one: --key-file, " +
		keyVariable + " or --as.",
	http.StatusForbidden:       "Use the key of somebody who has the permission: --key-file, or --as operator.",
	http.StatusNotFound:        "It may belong to another organisation, or the id is mistyped.",
	http.StatusTooManyRequests: "Wait a little, then try again.",
}

// Error returns what was refused, with every fault and with what to do.
func (r *apiProblem) Error() string {
	var b strings.Builder
	switch {
	case len(r.Errors) > 0 && r.Title != "":
		b.WriteString(r.Title + ":")
	case r.Detail != "":
		b.WriteString(r.Detail)
	case r.Title != "":
		b.WriteString(r.Title + ".")
	default:
		fmt.Fprintf(&b, "The API answered with status %d.", r.Status)
	}
	for _, f := range r.Errors {
		where := f.Parameter
		if f.Pointer != nil {
			where = strings.TrimPrefix(*f.Pointer, "/")
		}
		b.WriteString("\n  ")
		if where != "" {
			b.WriteString(where + ": ")
		}
		b.WriteString(f.Message)
		for i, a := range f.Allowed {
			b.WriteString([]string{" Possible: ", ", "}[min(i, 1)])
			fmt.Fprint(&b, a)
		}
	}
	if remedy := remedies[r.Status]; remedy != "" {
		b.WriteString("\n  " + remedy)
	}
	if r.Code != "" {
		fmt.Fprintf(&b, "\n  (%s, request %s)", r.Code, r.RequestID)
	}
	return b.String()
}

// asJSON prints the unchanged answer when --json is given, and reports whether it did.
func (r *apiFlags) asJSON(w io.Writer, raw []byte) bool {
	if r.JSON {
		fmt.Fprintln(w, strings.TrimSpace(string(raw)))
	}
	return r.JSON
}

// table prints rows below headings, with two spaces between the columns and the indentation of the headings.
func table(w io.Writer, headings string, rows [][]string) error {
	names := strings.TrimLeft(headings, " ")
	indent := headings[:len(headings)-len(names)]
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if names != "" {
		fmt.Fprintln(t, indent+strings.Join(strings.Fields(names), "\t"))
	}
	for _, r := range rows {
		fmt.Fprintln(t, indent+strings.Join(r, "\t"))
	}
	return t.Flush()
}

// printCursor prints how to see the next page of a list, if there is one.
func printCursor(w io.Writer, next *string) {
	if next != nil {
		fmt.Fprintf(w, "There are more: --cursor %s\n", *next)
	}
}

// query returns the query of a URL with its question mark, without parameters that are empty or "0".
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "0" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// formatTime formats a time for tables, in UTC.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// dash returns the text, or "-" when there is none.
func dash(s *string) string {
	if s == nil || *s == "" {
		return "-"
	}
	return *s
}

// amount is an amount of money as the API writes it.
type amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// String returns the amount with its currency.
func (a amount) String() string { return a.Amount + " " + a.Currency }
