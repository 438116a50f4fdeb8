package httpkit

import (
	"net/http"
	"testing"

	"github.com/platforma-cloud/orders/internal/fault"
)

func TestIfMatchReadsBackWhatETagWrites(t *testing.T) {
	t.Parallel()
	for _, version := range []int{0, 1, 7, 123456} {
		got, err := IfMatch(http.Header{"If-Match": {ETag(version)}})
		if err != nil || got == nil || *got != version {
			t.Errorf("version %d comes back as %v, %v", version, got, err)
		}
	}
	if got, err := IfMatch(http.Header{}); got != nil || err != nil {
		t.Errorf("no header: %v, %v", got, err)
	}
}

func TestTagThatETagDidNotMakeMatchesNothing(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{`W/"7"`, `"abc"`, `"-1"`, `""`, `"99999999999999999999"`} {
		if got, err := IfMatch(http.Header{"If-Match": {sent}}); err != nil || got == nil || *got != noVersion {
			t.Errorf("%s: %v, %v", sent, got, err)
		}
	}
}

func TestMalformedIfMatchIsAFault(t *testing.T) {
	t.Parallel()
	for _, sent := range [][]string{{"7"}, {`"7`}, {`7"`}, {"*"}, {""}, {`"`}, {`"7", "8"`}, {`"7"`, `"7"`}} {
		_, err := IfMatch(http.Header{"If-Match": sent})
		if f := fault.Of(err); f == nil || f.Kind != fault.KindMalformed || f.Code != "if-match-malformed" {
			t.Errorf("%q: %v", sent, err)
		}
	}
}
