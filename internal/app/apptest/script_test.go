package apptest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func noon() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }

// callZero calls a use case with zero arguments and returns its results.
func callZero(f *Fake, name string) []reflect.Value {
	method := reflect.ValueOf(f).MethodByName(name)
	in := make([]reflect.Value, method.Type().NumIn())
	for i := range in {
		in[i] = reflect.Zero(method.Type().In(i))
	}
	return method.Call(in)
}

// A use case that ignored the script would silently answer from the memory.
func TestEveryUseCaseFailsAsScriptedAndIsRecorded(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	inPassing := []string{"Authenticate", "Catalog", "May", "AllowedActions", "PaymentMethods"}
	all := reflect.TypeFor[useCases]()
	for i := range all.NumMethod() {
		f, name := New(noon), all.Method(i).Name
		f.Break(name, broken)
		results := callZero(f, name)
		if err, fails := results[len(results)-1].Interface().(error); fails && !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want the error of Break", name, err)
		}
		want := []string{name}
		if slices.Contains(inPassing, name) {
			want = []string{}
		}
		if diff := cmp.Diff(want, f.Called()); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", name, diff)
		}
	}
}

func TestUseCaseAnswersAsScriptedUntilItIsBroken(t *testing.T) {
	t.Parallel()
	f := New(noon)
	want := &app.Aggregate{}
	Answer(f, "Order", want)
	if got, err := f.Order(t.Context(), app.Caller{}, order.ID{1}); got != want || err != nil {
		t.Errorf("scripted answer: got %v, %v", got, err)
	}
	f.Break("Order", fault.Absent())
	if got, err := f.Order(t.Context(), app.Caller{}, order.ID{1}); got != nil || fault.Of(err) == nil {
		t.Errorf("broken: got %v, %v", got, err)
	}
	f.Mend("Order")
	if got, err := f.Order(t.Context(), app.Caller{}, order.ID{1}); got != want || err != nil {
		t.Errorf("mended: got %v, %v", got, err)
	}
	if last := f.Last(); last.UseCase != "Order" || last.In != (order.ID{1}) {
		t.Errorf("last call = %+v", last)
	}
}

func TestMistakenScriptIsRefused(t *testing.T) {
	t.Parallel()
	f := New(noon)
	for name, script := range map[string]func(){
		"no such use case":     func() { f.Break("Oder", nil) },
		"of another type":      func() { Answer(f, "Order", app.Aggregate{}) },
		"an error for a reply": func() { Answer(f, "ReceivePaymentWebhook", errors.New("x")) },
		"only an error":        func() { Answer[error](f, "ReceivePaymentWebhook", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: was accepted", name)
				}
			}()
			script()
		}()
	}
}

func TestIdempotencyKeyKeepsOneAnswer(t *testing.T) {
	t.Parallel()
	f := New(noon)
	c := app.Caller{Actor: tenant.Actor{Tenant: tenant.ID{1}}, Key: &app.IdempotencyKey{
		Key: "k", Fingerprint: [32]byte{1},
		Encode: func(any, error) (app.Answer, error) { return app.Answer{Status: 201}, nil },
	}}
	if _, err := f.CreateOrder(t.Context(), c, app.CreateOrder{}); err != nil {
		t.Fatal(err)
	}
	var replayed *app.Replayed
	_, err := f.CreateOrder(t.Context(), c, app.CreateOrder{})
	if !errors.As(err, &replayed) || replayed.Answer.Status != 201 {
		t.Errorf("the same request again: %v, want its first answer", err)
	}
	other := *c.Key
	other.Fingerprint = [32]byte{2}
	c.Key = &other
	_, err = f.CreateOrder(t.Context(), c, app.CreateOrder{})
	if e := fault.Of(err); e == nil || e.Code != fault.CodeKeyReused {
		t.Errorf("another request with the key: %v", err)
	}
	if got := f.Called(); len(got) != 1 {
		t.Errorf("effects %v, want one", got)
	}
}
