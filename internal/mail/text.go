package mail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a credentials document is laid out; the document itself is carried at any depth.
const maxDepth = 16

// documentHeading stands above the document, which runs to the end of the text.
const documentHeading = "The same as a JSON document:"

const simulatedNote = "Simulated region: this service exists in a simulation only. It runs on no real machine."

// insideSubject is the subject that only the recipient sees.
func insideSubject(m DeliveryMail) string {
	subject := deliverySubject
	if m.Service != "" {
		subject += ": " + m.Service
	}
	if m.OrderNumber != "" {
		subject += " (" + m.OrderNumber + ")"
	}
	return subject
}

// deliveryText is what the recipient reads after decrypting: what was delivered, the values one to a
// line, then the document byte for byte as it was sealed.
func deliveryText(m DeliveryMail) string {
	var b strings.Builder
	b.WriteString(deliverySubject + ".\n\n")
	var about []field
	for _, f := range []field{{"Service", m.Service}, {"Order", m.OrderNumber}, {"From", m.Brand}} {
		if f.value != "" {
			about = append(about, f)
		}
	}
	writeAligned(&b, about)
	if m.Simulated {
		b.WriteString("\n" + simulatedNote + "\n")
	}
	if fields, ok := flatten(m.Secret); ok && len(fields) > 0 {
		b.WriteString("\nYour access:\n\n")
		writeValues(&b, fields)
	}
	b.WriteString("\nAnyone who has these values has your service: keep this mail encrypted.\n\n")
	b.WriteString(documentHeading + "\n\n")
	b.Write(m.Secret)
	if !bytes.HasSuffix(m.Secret, []byte("\n")) {
		b.WriteString("\n")
	}
	return b.String()
}

// instructions is the readable part of a mail whose attachment is encrypted by passphrase.
func instructions(m DeliveryMail) string {
	var b strings.Builder
	b.WriteString(deliverySubject + ".\n\n")
	if m.OrderNumber != "" {
		b.WriteString("Order: " + m.OrderNumber + "\n")
	}
	if m.Simulated {
		b.WriteString(simulatedNote + "\n")
	}
	b.WriteString(`
How to reach it is in the attached file ` + attachmentName + `. The file is
encrypted. Its passphrase is not in any mail: the portal shows it to you,
once.

1. Sign in to the portal, open the order and choose "Show passphrase".
   Keep it: it is shown one time only.
2. Save the attached file.
3. Open it with any OpenPGP program, such as Kleopatra or GPG Suite, or with

       gpg --decrypt ` + attachmentName + `

If the passphrase is lost, ask for a new delivery in the portal. To get later
deliveries without a passphrase, upload your OpenPGP public key there.
`)
	if m.PortalURL != "" {
		b.WriteString("\nPortal: " + m.PortalURL + "\n")
	}
	b.WriteString(signature(m.Brand))
	return b.String()
}

// signature closes a plain mail; "" without a brand.
func signature(brand string) string {
	if brand == "" {
		return ""
	}
	return "\n-- \n" + brand + "\n"
}

// field is one value of a document under its path, such as "nodes[0].address".
type field struct{ path, value string }

// writeAligned writes "path: value" lines with the values under each other.
func writeAligned(b *strings.Builder, fields []field) {
	const widest = 32 // a longer path does not push the others to the right
	width := 0
	for _, f := range fields {
		if n := utf8.RuneCountInString(f.path); n <= widest {
			width = max(width, n)
		}
	}
	for _, f := range fields {
		gap := max(width-utf8.RuneCountInString(f.path), 0) + 1
		b.WriteString(f.path + ":" + strings.Repeat(" ", gap) + f.value + "\n")
	}
}

// writeValues writes short values aligned, then each value of several lines under its own heading,
// unindented so that a key or a kubeconfig can be copied.
func writeValues(b *strings.Builder, fields []field) {
	var short, long []field
	for _, f := range fields {
		f.path = visible(f.path)
		if strings.Contains(strings.TrimRight(f.value, "\n"), "\n") {
			long = append(long, f)
			continue
		}
		f.value = visible(strings.TrimRight(f.value, "\n"))
		short = append(short, f)
	}
	writeAligned(b, short)
	for i, f := range long {
		if i > 0 || len(short) > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "----- begin %s -----\n", f.path)
		for line := range strings.SplitSeq(strings.TrimRight(f.value, "\n"), "\n") {
			b.WriteString(visible(strings.TrimSuffix(line, "\r")) + "\n")
		}
		fmt.Fprintf(b, "----- end %s -----\n", f.path)
	}
}

// visible quotes a value that holds characters which hide or turn text; others stand as they are.
func visible(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && isForbidden(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// flatten lists the scalars of a JSON object in the document's order; ok is false for anything else
// and for documents too deep to lay out, which are then shown as the document alone.
func flatten(document []byte) (fields []field, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // a number is shown as it was written
	start, err := decoder.Token()
	if err != nil || start != json.Delim('{') {
		return nil, false
	}
	fields, err = walk(decoder, start, "", 1)
	if err != nil {
		return nil, false
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, false
	}
	return fields, true
}

// walk reads the value that begins with token.
func walk(decoder *json.Decoder, token json.Token, path string, depth int) ([]field, error) {
	switch t := token.(type) {
	case json.Delim:
		if depth > maxDepth {
			return nil, fmt.Errorf("deeper than %d", maxDepth)
		}
		return walkMembers(decoder, t, path, depth)
	case nil:
		return []field{{path, ""}}, nil
	default:
		return []field{{path, fmt.Sprint(t)}}, nil
	}
}

func walkMembers(decoder *json.Decoder, open json.Delim, path string, depth int) ([]field, error) {
	var fields []field
	for i := 0; decoder.More(); i++ {
		member := path + "[" + strconv.Itoa(i) + "]"
		if open == '{' {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			member = strings.TrimPrefix(path+"."+fmt.Sprint(name), ".")
		}
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		inner, err := walk(decoder, token, member, depth+1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, inner...)
	}
	_, err := decoder.Token() // the closing bracket
	return fields, err
}
