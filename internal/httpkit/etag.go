package httpkit

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/platforma-cloud/orders/internal/fault"
)

// ETag is the entity tag of a version.
func ETag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// never is a version that no row has: a well-formed tag that ETag did not make matches nothing.
const never = -1

// IfMatch reads the version out of an If-Match header: one strong tag as ETag makes it, "7". Weak ones
// never match (RFC 9110, section 13.1.1). It returns nil when there is no such header.
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
			`Send one ETag as you got it, such as If-Match: "7".`)
	}
	version, err := strconv.Atoi(strong[1 : len(strong)-1])
	if err != nil || version < 0 || strong != tag {
		version = never
	}
	return &version, nil
}
