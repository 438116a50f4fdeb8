package httpkit

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/platforma-cloud/orders/internal/fault"
)

func TestBodyIsReadUpToItsLimitAndCanBeReadAgain(t *testing.T) {
	t.Parallel()
	whole := strings.Repeat("a", MaxBody)
	r := httptest.NewRequest("POST", "/", strings.NewReader(whole))
	raw, err := ReadBody(httptest.NewRecorder(), r)
	again, _ := io.ReadAll(r.Body)
	if err != nil || string(raw) != whole || string(again) != whole {
		t.Errorf("read %d bytes, then %d, %v", len(raw), len(again), err)
	}
	_, err = ReadBody(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(whole+"a")))
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 413 || status.Code != "body-too-large" ||
		status.Detail != "A body may have at most 65536 bytes." {
		t.Errorf("a body of one byte more: %v", err)
	}
	_, err = ReadBody(httptest.NewRecorder(), httptest.NewRequest("POST", "/",
		iotest.ErrReader(errors.New("reset by peer"))))
	if f := fault.Of(err); f == nil || f.Kind != fault.KindMalformed || strings.Contains(f.Detail, "peer") {
		t.Errorf("a body that breaks off: %v", err)
	}
}
