package apptest

import (
	"fmt"
	"reflect"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
)

// script holds what a test told the use cases to do, and their calls. The keys of broken, panics and answers are names
// of use cases.
type script struct {
	calls   []Call
	broken  map[string]error
	panics  map[string]any
	answers map[string]any // each has the result type of its use case
	kept    map[string]keptAnswer
}

// Call is a call of a use case. In is its argument; if there are several, the one with the caller's input.
type Call struct {
	UseCase string
	Caller  app.Caller
	In      any
}

// keptAnswer is the stored answer of a write with an idempotency key.
type keptAnswer struct {
	fingerprint [32]byte
	answer      app.Answer
}

func newScript() script {
	return script{
		broken: map[string]error{}, panics: map[string]any{}, answers: map[string]any{}, kept: map[string]keptAnswer{},
	}
}

// Called lists the names of the use cases that were called, in sequence. It leaves out those that facades call with
// every request: Authenticate, May, AllowedActions, PaymentMethods and Catalog.
func (f *Fake) Called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, len(f.script.calls))
	for i, c := range f.script.calls {
		names[i] = c.UseCase
	}
	return names
}

// Last returns the last of the calls that Called lists. It panics when there is none.
func (f *Fake) Last() Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.script.calls[len(f.script.calls)-1]
}

// Break makes a use case fail with an error until Mend.
func (f *Fake) Break(useCase string, err error) {
	mustBeUseCase(useCase)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script.broken[useCase] = err
}

// Mend ends Break.
func (f *Fake) Mend(useCase string) {
	mustBeUseCase(useCase)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.script.broken, useCase)
}

// Panic makes a use case panic with a value.
func (f *Fake) Panic(useCase string, value any) {
	mustBeUseCase(useCase)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script.panics[useCase] = value
}

// Answer makes a use case return a result, whatever its arguments and the memory are. It panics when the use case does
// not return an R. An error is not a result.
func Answer[R any](f *Fake, useCase string, result R) {
	got, want := reflect.TypeFor[R](), mustBeUseCase(useCase).Out(0)
	if got != want || want == reflect.TypeFor[error]() {
		panic(fmt.Sprintf("apptest: %s returns %s, and was told to answer with %s", useCase, want, got))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script.answers[useCase] = result
}

// mustBeUseCase returns the type of the use case with a name. It panics when there is none.
func mustBeUseCase(name string) reflect.Type {
	m, ok := reflect.TypeFor[useCases]().MethodByName(name)
	if !ok {
		panic("apptest: there is no use case " + name)
	}
	return m.Type
}

// answer runs a use case: as the test scripted it, or else by memory, which runs under f.mu.
func answer[R any](f *Fake, useCase string, memory func() (R, error)) (R, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return answerLocked(f, useCase, memory)
}

func answerLocked[R any](f *Fake, useCase string, memory func() (R, error)) (R, error) {
	var none R
	if value, ok := f.script.panics[useCase]; ok {
		panic(value)
	}
	if err := f.script.broken[useCase]; err != nil {
		return none, err
	}
	if scripted, ok := f.script.answers[useCase]; ok {
		return scripted.(R), nil
	}
	return memory()
}

// read is answer for a use case that Called lists.
func read[R any](f *Fake, useCase string, c app.Caller, in any, memory func() (R, error)) (R, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script.calls = append(f.script.calls, Call{UseCase: useCase, Caller: c, In: in})
	return answerLocked(f, useCase, memory)
}

// write is read for a use case that changes something. With an idempotency key it stores the answer as the application
// does: a repetition gets that answer and changes nothing.
func write[R any](f *Fake, useCase string, c app.Caller, in any, memory func() (R, error)) (R, error) {
	if c.Key == nil {
		return read(f, useCase, c, in, memory)
	}
	var none R
	if err := f.replayed(c); err != nil {
		return none, err
	}
	result, outcome := read(f, useCase, c, in, memory)
	if outcome != nil && fault.Of(outcome) == nil {
		return none, outcome
	}
	// Encode calls AllowedActions, so it runs outside the lock.
	encoded, err := c.Key.Encode(result, outcome)
	if err != nil {
		return none, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script.kept[keyOf(c)] = keptAnswer{c.Key.Fingerprint, encoded}
	return result, outcome
}

// replayed returns the error that ends a write whose key was used before, or nil.
func (f *Fake) replayed(c app.Caller) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept, ok := f.script.kept[keyOf(c)]
	if !ok {
		return nil
	}
	if kept.fingerprint != c.Key.Fingerprint {
		return fault.New(fault.KindInvalid, fault.CodeKeyReused, "This key was used for another request.")
	}
	return &app.Replayed{Answer: kept.answer}
}

func keyOf(c app.Caller) string { return c.Tenant.String() + c.Key.Key }
