package mail

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Lengths of RFC 5321, section 4.5.3.1.
const (
	maxLocalPart = 64
	maxAddress   = 254
)

// CheckAddress accepts exactly one addr-spec of RFC 5322 in its plain form: a dot-atom, '@' and a host name,
// all ASCII. It refuses display names, comments, quoted local parts, lists and address literals, so that
// nothing in an address can start a header, a second recipient or a command. The fault (KindInvalid,
// "address-invalid") does not repeat the address.
func CheckAddress(address string) error {
	at := strings.LastIndexByte(address, '@')
	if len(address) <= maxAddress && at > 0 && at <= maxLocalPart && isDotted(address[:at], isAtomByte) &&
		isDotted(address[at+1:], isHostByte) {
		return nil
	}
	return fault.New(fault.KindInvalid, "address-invalid",
		"This is not exactly one plain mail address such as name@example.org.")
}

// isDotted reports whether s consists of one or more non-empty parts of allowed bytes, joined by dots.
func isDotted(s string, allowed func(byte) bool) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" {
			return false
		}
		for i := range len(part) {
			if !allowed(part[i]) {
				return false
			}
		}
	}
	return true
}

func isAtomByte(b byte) bool {
	return isHostByte(b) || strings.IndexByte("!#$%&'*+/=?^_`{|}~", b) >= 0
}

func isHostByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-'
}

func isMessageIDByte(b byte) bool { return isHostByte(b) || b == '_' || b == '+' }

func violation(pointer, code, message string) fault.Violation {
	return fault.Violation{Pointer: pointer, Code: code, Message: message}
}

func checkEnvelope(to, messageID string, at time.Time) []fault.Violation {
	var v []fault.Violation
	if CheckAddress(to) != nil {
		v = append(v, violation("/to", "address-invalid", "The recipient is not exactly one plain mail address."))
	}
	if len(messageID) > 128 || !isDotted(messageID, isMessageIDByte) {
		v = append(v, violation("/message_id", "message-id-invalid",
			"A message id is 1 to 128 letters, digits, '-', '_', '+' and inner dots."))
	}
	if at.IsZero() {
		v = append(v, violation("/at", "time-missing", "A mail needs its time."))
	}
	return v
}

// checkLine refuses text that could end a line, hide or reverse other text, or mean something else in a header
// ("=?" starts an encoded word, RFC 2047).
func checkLine(pointer, s string, maxLength int) []fault.Violation {
	if utf8.ValidString(s) && len(s) <= maxLength && !strings.ContainsFunc(s, isForbidden) && !strings.Contains(s, "=?") {
		return nil
	}
	return []fault.Violation{
		violation(pointer, "text-invalid", "The text is too long or holds control or direction characters."),
	}
}

// checkText is checkLine for text of several lines: it allows line feeds and tabs.
func checkText(pointer, s string) []fault.Violation {
	bad := func(r rune) bool { return r != '\n' && r != '\t' && isForbidden(r) }
	if utf8.ValidString(s) && len(s) <= maxSecret && !strings.ContainsFunc(s, bad) {
		return nil
	}
	return []fault.Violation{
		violation(pointer, "text-invalid", "The text is too long or holds control or direction characters."),
	}
}

// isForbidden reports whether r is a control character (such as CR, LF and NUL), a line or paragraph separator,
// or a character that changes the direction of writing.
func isForbidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}
