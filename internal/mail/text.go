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

// maxDepth is the greatest depth of a credentials document whose values are listed line by line. The document
// itself is carried at any depth.
const maxDepth = 16

// outsideSubject returns the subject that everybody on the way can read. With a public key it reveals nothing.
// Without one it names product, order and item, so that the recipient can tell deliveries apart. It never has
// the item's label, because a label may be a host name, which is a credential (D21).
func outsideSubject(m DeliveryMail) string {
	if len(m.PublicKey) > 0 || m.Title == "" || m.OrderNumber == "" {
		return m.Language.Say("delivery.subject")
	}
	return m.Language.Say("delivery.which", "title", m.Title, "order", m.OrderNumber, "line", strconv.Itoa(m.Line))
}

// insideSubject returns the subject that only the recipient sees.
func insideSubject(m DeliveryMail) string {
	if m.Service == "" || m.OrderNumber == "" {
		return outsideSubject(m)
	}
	return m.Language.Say("delivery.inside", "service", m.Service, "order", m.OrderNumber, "line", strconv.Itoa(m.Line))
}

// deliveryText returns what the recipient reads after decrypting: what was delivered, the values line by line,
// and the document byte for byte as it was sealed, to the end of the text.
func deliveryText(m DeliveryMail) string {
	say := m.Language.Say
	var b strings.Builder
	b.WriteString(say("delivery.subject") + ".\n\n")
	var summary []field
	for _, f := range []field{
		{say("delivery.service"), m.Service}, {say("label.order"), orderAndLine(m)}, {say("delivery.from"), m.Brand},
	} {
		if f.value != "" {
			summary = append(summary, f)
		}
	}
	writeAligned(&b, summary)
	if m.Simulated {
		b.WriteString("\n" + say("simulated") + "\n")
	}
	if fields, ok := flatten(m.Secret); ok && len(fields) > 0 {
		b.WriteString("\n" + say("delivery.access") + "\n\n")
		writeValues(&b, fields)
	}
	b.WriteString("\n" + say("delivery.keep") + "\n\n")
	b.WriteString(say("delivery.document") + "\n\n")
	b.Write(m.Secret)
	if !bytes.HasSuffix(m.Secret, []byte("\n")) {
		b.WriteString("\n")
	}
	return b.String()
}

func orderAndLine(m DeliveryMail) string {
	if m.OrderNumber == "" || m.Line == 0 {
		return m.OrderNumber
	}
	return m.OrderNumber + " / " + strconv.Itoa(m.Line)
}

// instructions returns the readable part of a mail whose attachment is encrypted with a passphrase.
func instructions(m DeliveryMail) string {
	say := m.Language.Say
	var b strings.Builder
	b.WriteString(say("delivery.subject") + ".\n\n")
	if m.OrderNumber != "" {
		b.WriteString(say("label.order") + ": " + orderAndLine(m) + "\n")
	}
	if m.Title != "" {
		b.WriteString(say("delivery.service") + ": " + m.Title + "\n")
	}
	if m.Simulated {
		b.WriteString(say("simulated") + "\n")
	}
	b.WriteString("\n" + say("delivery.instructions", "file", attachmentName) + "\n")
	if m.PortalURL != "" {
		b.WriteString("\n" + say("delivery.portal") + ": " + m.PortalURL + "\n")
	}
	b.WriteString(signature(m.Brand))
	return b.String()
}

// signature returns the end of a plain mail, or "" without a brand.
func signature(brand string) string {
	if brand == "" {
		return ""
	}
	return "\n-- \n" + brand + "\n"
}

// field is one value of a document with its path, such as "nodes[0].address".
type field struct{ path, value string }

// writeAligned writes lines of the form "path: value" with the values in one column.
func writeAligned(b *strings.Builder, fields []field) {
	const maxWidth = 32 // a longer path does not move the column
	width := 0
	for _, f := range fields {
		if n := utf8.RuneCountInString(f.path); n <= maxWidth {
			width = max(width, n)
		}
	}
	for _, f := range fields {
		gap := max(width-utf8.RuneCountInString(f.path), 0) + 1
		b.WriteString(f.path + ":" + strings.Repeat(" ", gap) + f.value + "\n")
	}
}

// writeValues writes the values of one line aligned, and then each value of several lines under its own
// heading, without indentation, so that a key or a kubeconfig can be copied.
func writeValues(b *strings.Builder, fields []field) {
	var short, long []field
	for _, f := range fields {
		f.path = quoteHidden(f.path)
		if strings.Contains(strings.TrimRight(f.value, "\n"), "\n") {
			long = append(long, f)
			continue
		}
		f.value = quoteHidden(strings.TrimRight(f.value, "\n"))
		short = append(short, f)
	}
	writeAligned(b, short)
	for i, f := range long {
		if i > 0 || len(short) > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "----- begin %s -----\n", f.path)
		for line := range strings.SplitSeq(strings.TrimRight(f.value, "\n"), "\n") {
			b.WriteString(quoteHidden(strings.TrimSuffix(line, "\r")) + "\n")
		}
		fmt.Fprintf(b, "----- end %s -----\n", f.path)
	}
}

// quoteHidden quotes a value that holds characters which hide or reverse text. It returns others unchanged.
func quoteHidden(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && isForbidden(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// flatten returns the scalars of a JSON object in the order of the document. For anything else and for
// documents deeper than maxDepth ok is false; the mail then shows only the document.
func flatten(document []byte) (fields []field, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // numbers are shown as they were written
	start, err := decoder.Token()
	if err != nil || start != json.Delim('{') {
		return nil, false
	}
	fields, err = readValue(decoder, start, "", 1)
	if err != nil {
		return nil, false
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, false
	}
	return fields, true
}

// readValue reads the value that begins with token.
func readValue(decoder *json.Decoder, token json.Token, path string, depth int) ([]field, error) {
	switch t := token.(type) {
	case json.Delim:
		if depth > maxDepth {
			return nil, fmt.Errorf("deeper than %d", maxDepth)
		}
		return readMembers(decoder, t, path, depth)
	case nil:
		return []field{{path, ""}}, nil
	default:
		return []field{{path, fmt.Sprint(t)}}, nil
	}
}

// readMembers reads the members of an object or a list up to its closing bracket.
func readMembers(decoder *json.Decoder, open json.Delim, path string, depth int) ([]field, error) {
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
		inner, err := readValue(decoder, token, member, depth+1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, inner...)
	}
	_, err := decoder.Token() // the closing bracket
	return fields, err
}
