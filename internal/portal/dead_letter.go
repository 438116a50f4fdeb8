package portal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// deadLetterView is a dead letter with what a person needs to decide about it, and the form that they sent.
type deadLetterView struct {
	app.DeadLetterDetail
	MayWrite bool
	Mine     bool   // the first signature is the visitor's own
	Refunds  string // the state of the refund, as a sentence
	Means    string // what the second signature will do to machines and money
	Faults   []string
	Form     deadLetterForm
}

// deadLetterForm is what a person sent, to be shown again when it is refused.
type deadLetterForm struct{ AbandonReason, Text, Proof, Step, Ref, AdoptReason, Reason string }

// Steps lists the steps whose resources may still exist, each once.
func (v deadLetterView) Steps() []string {
	var steps []string
	for _, res := range v.Remaining {
		if !slices.Contains(steps, res.Step) {
			steps = append(steps, res.Step)
		}
	}
	return steps
}

// Stuck reports whether there is something that the visitor can decide.
func (v deadLetterView) Stuck() bool {
	unsettled := v.State == app.DeadLetterOpen || v.State == app.DeadLetterParked
	return v.MayWrite && unsettled && v.Work != nil && v.Work.State == fulfil.Stuck
}

// Base returns the path of the dead letter's page.
func (v deadLetterView) Base() string { return "/desk/dead-letters/" + v.ID.String() }

// signatureOf names who signed: by their address, or by the end of their id when they are no longer a member.
func signatureOf(v *session, d app.DeadLetterDetail) string {
	switch by := d.Abandonment.FirstBy; {
	case by == v.Member:
		return "you"
	case d.First != nil:
		return d.First.Email
	default:
		return "somebody who has left (" + short(by.String()) + ")"
	}
}

// abandonReasonTexts are the statements that a person signs when they abandon work.
var abandonReasonTexts = map[app.AbandonReason]string{
	app.VerifiedAbsent: "Somebody looked at the provider: nothing of it is there",
	app.RemovedByHand:  "Somebody removed it at the provider by hand",
	app.AccountClosed:  "The account that it was in is closed",
	app.RefundedByHand: "The money went back another way",
	app.OtherReason:    "Something else, described below",
}

// refundSentence describes the state of the item's refund.
func refundSentence(d app.DeadLetterDetail) string {
	r := d.Refund
	if r == nil {
		return ""
	}
	sum := amount(r.Cents, r.Currency)
	switch r.State {
	case order.RefundStuck:
		return "The refund of " + sum + " is stuck: the customer is still owed it."
	case order.RefundAccepted:
		return "The refund of " + sum + " was accepted."
	case order.RefundCompleted:
		return sum + " was refunded."
	default:
		return "The refund of " + sum + " is under way."
	}
}

// abandonMeans describes what the second signature will do.
func abandonMeans(d app.DeadLetterDetail) string {
	if d.Work == nil {
		return ""
	}
	switch d.Work.Kind {
	case fulfil.Provision:
		end := "The item becomes rolled back as soon as its refund is accepted."
		if d.Refund == nil || d.Refund.State.Accepted() {
			end = "The item becomes rolled back, and the order goes on without it."
		}
		return "The compensation counts as done. " + end + " This removes nothing at the provider: whatever is still " +
			"there stays and costs money."
	case fulfil.Refund:
		sum := "The refund"
		if r := d.Refund; r != nil {
			sum = "The refund of " + amount(r.Cents, r.Currency)
		}
		return sum + " counts as paid, with your proof as its reference. This moves no money: it must have been paid " +
			"back already."
	case fulfil.Redrive:
		return "The consumer " + d.Event.Consumer + " skips the event for good, and the events blocked behind it are applied."
	default:
		return "The task is dropped. The order does not depend on it."
	}
}

func (p *Portal) deadLetterPage(w http.ResponseWriter, r *http.Request, v *session) error {
	return p.showDeadLetter(w, r, v, http.StatusOK, deadLetterForm{}, nil)
}

func (p *Portal) showDeadLetter(
	w http.ResponseWriter, r *http.Request, v *session, status int, form deadLetterForm, faults []string,
) error {
	deadLetter, err := id.Parse[app.DeadLetter](r.PathValue("deadLetter"))
	if err != nil {
		return errNoPage
	}
	d, err := p.useCases.DeadLetter(r.Context(), v.Caller, deadLetter)
	if err != nil {
		return err
	}
	view := deadLetterView{
		DeadLetterDetail: d, MayWrite: p.useCases.May(v.Actor, app.WorkDesk), Mine: d.Abandonment.FirstBy == v.Member,
		Refunds: refundSentence(d), Means: abandonMeans(d), Faults: faults, Form: form,
	}
	return p.show(w, r, status, deadLetterPage(p.pageLayout(r, v, "desk", words(d.Code)), v,
		p.deskTabs(v, "/desk/dead-letters"), view))
}

// answerDecision redirects to the dead letter with a sentence about what was done. When the decision was refused,
// it shows the page again with the form and the faults.
func (p *Portal) answerDecision(
	w http.ResponseWriter, r *http.Request, v *session, form deadLetterForm, sent string, err error,
) error {
	if f := fault.Of(err); f != nil && (f.Kind == fault.KindInvalid || f.Kind == fault.KindConflict) {
		faults := []string{f.Detail}
		if len(f.Violations) > 0 {
			faults = messages(f.Violations)
		}
		return p.showDeadLetter(w, r, v, httpkit.Status(f.Kind), form, faults)
	}
	if err != nil {
		return err
	}
	p.flash(r, sent)
	return seeOther(w, r, "/desk/dead-letters/"+r.PathValue("deadLetter"))
}

func (p *Portal) redrive(w http.ResponseWriter, r *http.Request, v *session) error {
	deadLetter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	form := deadLetterForm{Reason: oneLine(r.PostForm.Get("reason"))}
	if err = checkReason(form.Reason); err == nil {
		_, err = p.useCases.RedriveDeadLetter(r.Context(), v.Caller, deadLetter, form.Reason)
	}
	return p.answerDecision(w, r, v, form, "It is tried again. The order's page shows how it goes.", err)
}

func (p *Portal) adopt(w http.ResponseWriter, r *http.Request, v *session) error {
	deadLetter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	form := deadLetterForm{
		Step: r.PostForm.Get("step"), Ref: strings.TrimSpace(r.PostForm.Get("ref")),
		AdoptReason: oneLine(r.PostForm.Get("reason")),
	}
	_, err = p.useCases.AdoptDeadLetter(r.Context(), v.Caller, app.AdoptDeadLetter{
		DeadLetter: deadLetter, Step: form.Step, Ref: form.Ref, Reason: form.AdoptReason,
	})
	return p.answerDecision(w, r, v, form,
		"A worker checks it now. If it belongs to the item, it is removed; if not, a new dead letter says so.", err)
}

// abandon adds the first or the second signature. Both need a fresh sign-in, because an unattended browser must
// not count as a second person.
func (p *Portal) abandon(w http.ResponseWriter, r *http.Request, v *session) error {
	deadLetter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	if p.requireFresh(w, r, v, "/desk/dead-letters/"+deadLetter.String()) {
		return nil
	}
	form := deadLetterForm{
		AbandonReason: r.PostForm.Get("grounds"), Text: oneLine(r.PostForm.Get("text")),
		Proof: oneLine(r.PostForm.Get("proof")),
	}
	after, err := p.useCases.AbandonDeadLetter(r.Context(), v.Caller, app.AbandonDeadLetter{
		DeadLetter: deadLetter, AbandonReason: app.AbandonReason(form.AbandonReason), Text: form.Text, Proof: form.Proof,
	})
	sent := "Signed first. Nothing has happened yet: another operator checks the proof and signs the same."
	if after.State == app.DeadLetterAbandoned {
		sent = "Abandoned, signed by two people."
	}
	return p.answerDecision(w, r, v, form, sent, err)
}

func (p *Portal) withdraw(w http.ResponseWriter, r *http.Request, v *session) error {
	deadLetter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	_, err = p.useCases.WithdrawAbandonment(r.Context(), v.Caller, deadLetter)
	return p.answerDecision(w, r, v, deadLetterForm{}, "Your signature is withdrawn. The work is still stuck.", err)
}

func deadLetterOf(r *http.Request) (id.Of[app.DeadLetter], error) {
	if err := r.ParseForm(); err != nil {
		return id.Of[app.DeadLetter]{}, unreadable(err)
	}
	deadLetter, err := id.Parse[app.DeadLetter](r.PathValue("deadLetter"))
	if err != nil {
		return id.Of[app.DeadLetter]{}, errNoPage
	}
	return deadLetter, nil
}

// redriveGroup redrives all open dead letters of a cause and class, and reports the results.
func (p *Portal) redriveGroup(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	class, ok := fault.ParseClass(r.PostForm.Get("class"))
	if !ok || r.PostForm.Get("cause") == "" {
		return errNoPage
	}
	reason := oneLine(r.PostForm.Get("reason"))
	if err := checkReason(reason); err != nil {
		return err
	}
	report, err := p.useCases.RedriveDeadLetters(r.Context(), v.Caller, app.RedriveDeadLetters{
		Cause: r.PostForm.Get("cause"), Class: &class, Reason: reason,
	})
	if err != nil {
		return err
	}
	p.flash(r, redrivenText(report))
	return seeOther(w, r, "/desk/dead-letters")
}

// redrivenText sums up the results of a group, with the reason of the first refusal.
func redrivenText(report app.RedriveReport) string {
	done, why := 0, ""
	for _, d := range report.DeadLetters {
		switch {
		case d.Outcome == app.RedriveDone:
			done++
		case why == "":
			why = " First refusal: " + d.Detail
		}
	}
	if len(report.DeadLetters) == 0 {
		return "No such dead letter is open any more."
	}
	return fmt.Sprintf("%d of %d tried again.%s", done, len(report.DeadLetters), why)
}
