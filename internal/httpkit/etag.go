package httpkit

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/platforma-cloud/orders/internal/fault"
)

// ETag returns the entity tag of a version.
func ETag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// noVersion is a version that no row has. It stands for a well-formed tag that ETag did not make, so that the
// tag matches nothing.
const noVersion = -1

// IfMatch returns the version in the If-Match header, or nil if there is no such header. It accepts one strong
// tag as ETag makes it, such as "7". A weak tag never matches (RFC 9110, section 13.1.1).
func IfMatch(h http.Header) (*int, error) {
	values := h.Values("If-Match")
	if len(values) == 0 {
		return nil, nil
	}
	tag := strings.TrimSpace(values[0])
	strong := strings.TrimPrefix(tag, "W/")
	quoted := len(strong) >= 2 && strong[0] == '"' && strings.Index(strong[1:], `"`) == len(strong)-2
	if len(values) > 1 || !quoted {
		return nil, fault.New(fault.KindMalformed, "if-match-malformed",
			`Send one ETag as you received it, such as If-Match: "7".`)
	}
	version, err := strconv.Atoi(strong[1 : len(strong)-1])
	if err != nil || version < 0 || strong != tag {
		version = noVersion
	}
	return &version, nil
}
