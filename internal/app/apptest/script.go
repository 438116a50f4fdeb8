package apptest

import (
	"fmt"
	"reflect"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
)

// script is what a test told the use cases to do, and what they were asked since. Its keys are names of
// use cases.
type script struct {
	calls   []Call
	broken  map[string]error
	panics  map[string]any
	answers map[string]any // each of its use case's own result type
	kept    map[string]keptAnswer
}

// Call is a use case that was called. In is its argument; of several, the one that the caller wrote.
type Call struct {
	UseCase string
	Caller  app.Caller
	In      any
}

// keptAnswer is the answer to a write that came with an idempotency key.
type keptAnswer struct {
	fingerprint [32]byte
	answer      app.Answer
}

func newScript() script {
	return script{
		broken: map[string]error{}, panics: map[string]any{}, answers: map[string]any{}, kept: map[string]keptAnswer{},
	}
}

// Called lists the use cases that were called, in their order. What callers ask in passing (Authenticate,
// May, AllowedActions, Catalog) is not in it.
func (f *Fake) Called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, len(f.script.calls))
	for i, c := range f.script.calls {
		names[i] = c.UseCase
	}
	return names
}

// Last is the last call of those that Called lists. It panics when there was none.
func (f *Fake) Last() Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.script.calls[len(f.script.calls)-1]
}

// Break makes a use case fail until Mend.
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

// Answer makes a use case answer with a result, whatever it is asked and whatever the memory says. It
// panics when the use case has no such result; an error is no result.
func Answer[R any](f *Fake, useCase string, result R) {
	got, want := reflect.TypeFor[R](), mustBeUseCase(useCase).Out(0)
	if got != want || want == reflect.TypeFor[error]() {
		panic(fmt.Sprintf("apptest: %s returns %s, and was told to answer with %s", useCase, want, got))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script.answers[useCase] = result
}

// mustBeUseCase guards against a name that nothing is called by. It returns the method's type.
func mustBeUseCase(name string) reflect.Type {
	m, ok := reflect.TypeFor[useCases]().MethodByName(name)
	if !ok {
		panic("apptest: there is no use case " + name)
	}
	return m.Type
}

// answer returns what the test told a use case to answer, or else what the memory says. memory runs under
// f.mu.
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
	if told, ok := f.script.answers[useCase]; ok {
		return told.(R), nil
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

// write is read for a use case that changes something. With an idempotency key it keeps its answer as the
// application does: a repetition gets that answer and changes nothing.
func write[R any](f *Fake, useCase string, c app.Caller, in any, memory func() (R, error)) (R, error) {
	if c.Key == nil {
		return read(f, useCase, c, in, memory)
	}
	var none R
	if err := f.replayed(c); err != nil {
		return none, err
	}
	result, verdict := read(f, useCase, c, in, memory)
	if verdict != nil && fault.Of(verdict) == nil {
		return none, verdict
	}
	// Encode asks for AllowedActions, so it runs outside the lock.
	encoded, err := c.Key.Encode(result, verdict)
	if err != nil {
		return none, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script.kept[keyOf(c)] = keptAnswer{c.Key.Fingerprint, encoded}
	return result, verdict
}

// replayed ends a write whose key was used before.
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
