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

// deadLetterView is a dead letter with all that a person needs to decide about it, and what they sent.
type deadLetterView struct {
	app.DeadLetterDetail
	MayWrite bool
	Mine     bool   // the signature that stands there is the visitor's own
	Refunds  string // how the money stands, in a sentence
	Means    string // what the second signature will do, in machines and money
	Faults   []string
	Form     deadLetterForm
}

// deadLetterForm is what a person sent, to be shown again where it was refused.
type deadLetterForm struct{ AbandonReason, Text, Proof, Part, Ref, Adopting, Reason string }

// Parts that may still be there, each once.
func (v deadLetterView) Parts() []string {
	var parts []string
	for _, res := range v.Left {
		if !slices.Contains(parts, res.Step) {
			parts = append(parts, res.Step)
		}
	}
	return parts
}

// Stuck reports whether a person has something to decide.
func (v deadLetterView) Stuck() bool {
	return v.MayWrite && v.Work != nil && v.Work.State == fulfil.Stuck && (v.State == app.DeadLetterOpen ||
		v.State == app.DeadLetterParked)
}

// Base is the letter's own address.
func (v deadLetterView) Base() string { return "/desk/dead-letters/" + v.ID.String() }

// signatureOf tells who signed and how to call them: their address, or the end of their id when they are no
// member any more.
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

// abandonReasonTexts word why work is given up, as what a person signs.
var abandonReasonTexts = map[app.AbandonReason]string{
	app.VerifiedAbsent: "Somebody looked at the provider: nothing of it is there",
	app.RemovedByHand:  "Somebody removed it at the provider by hand",
	app.AccountClosed:  "The account that it was in is closed",
	app.RefundedByHand: "The money went back another way",
	app.OtherReason:    "Something else, said in words below",
}

// refundSentence says how the item's money stands.
func refundSentence(d app.DeadLetterDetail) string {
	r := d.Refund
	if r == nil {
		return ""
	}
	sum := amount(r.Cents, r.Currency)
	switch r.State {
	case order.RefundStuck:
		return "The refund of " + sum + " is stuck: the customer is owed it."
	case order.RefundAccepted:
		return "The refund of " + sum + " was accepted."
	case order.RefundCompleted:
		return sum + " went back."
	default:
		return "The refund of " + sum + " is under way."
	}
}

// abandonMeans says what the second signature will do.
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
		return "The clean-up counts as done. " + end + " Nothing is removed at the provider by this: whatever is still " +
			"there stays and costs money."
	case fulfil.Refund:
		sum := "The refund"
		if r := d.Refund; r != nil {
			sum = "The refund of " + amount(r.Cents, r.Currency)
		}
		return sum + " counts as paid, with your proof as its reference. No money is moved by this: it must have gone back " +
			"already."
	case fulfil.Redrive:
		return "The event is passed over for good by " + d.Event.Consumer + ", and what waits behind it is applied."
	default:
		return "It is dropped. The order does not hang on it."
	}
}

func (p *Portal) deadLetterPage(w http.ResponseWriter, r *http.Request, v *session) error {
	return p.showDeadLetter(w, r, v, http.StatusOK, deadLetterForm{}, nil)
}

func (p *Portal) showDeadLetter(
	w http.ResponseWriter, r *http.Request, v *session, status int, form deadLetterForm, faults []string,
) error {
	letter, err := id.Parse[app.DeadLetter](r.PathValue("letter"))
	if err != nil {
		return errNoPage
	}
	d, err := p.useCases.DeadLetter(r.Context(), v.Caller, letter)
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

// decided answers a decision about a letter: on to the letter with a word of what was done, or the page
// again with what was refused and why.
func (p *Portal) decided(
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
	return see(w, r, "/desk/dead-letters/"+r.PathValue("letter"))
}

func (p *Portal) redrive(w http.ResponseWriter, r *http.Request, v *session) error {
	letter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	form := deadLetterForm{Reason: oneLine(r.PostForm.Get("reason"))}
	if err = checkReason(form.Reason); err == nil {
		_, err = p.useCases.RedriveDeadLetter(r.Context(), v.Caller, letter, form.Reason)
	}
	return p.decided(w, r, v, form, "It is tried again. The order's page shows how it goes.", err)
}

func (p *Portal) adopt(w http.ResponseWriter, r *http.Request, v *session) error {
	letter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	form := deadLetterForm{
		Part: r.PostForm.Get("part"), Ref: strings.TrimSpace(r.PostForm.Get("ref")),
		Adopting: oneLine(r.PostForm.Get("reason")),
	}
	_, err = p.useCases.AdoptDeadLetter(r.Context(), v.Caller, app.AdoptDeadLetter{
		DeadLetter: letter, Part: form.Part, Ref: form.Ref, Reason: form.Adopting,
	})
	return p.decided(w, r, v, form,
		"It is looked at. If it is the item's it is removed; if not, a new dead letter says so.", err)
}

// abandon signs, first or second. Both signatures ask for a fresh sign-in: an open browser must not be a
// pair of eyes.
func (p *Portal) abandon(w http.ResponseWriter, r *http.Request, v *session) error {
	letter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	if p.requireFresh(w, r, v, "/desk/dead-letters/"+letter.String()) {
		return nil
	}
	form := deadLetterForm{
		AbandonReason: r.PostForm.Get("grounds"), Text: oneLine(r.PostForm.Get("text")),
		Proof: oneLine(r.PostForm.Get("proof")),
	}
	after, err := p.useCases.AbandonDeadLetter(r.Context(), v.Caller, app.AbandonDeadLetter{
		DeadLetter: letter, AbandonReason: app.AbandonReason(form.AbandonReason), Text: form.Text, Proof: form.Proof,
	})
	sent := "Signed first. Nothing has happened yet: another operator looks at the proof and signs the same."
	if after.State == app.DeadLetterAbandoned {
		sent = "Abandoned, signed by two people."
	}
	return p.decided(w, r, v, form, sent, err)
}

func (p *Portal) withdraw(w http.ResponseWriter, r *http.Request, v *session) error {
	letter, err := deadLetterOf(r)
	if err != nil {
		return err
	}
	_, err = p.useCases.WithdrawAbandonment(r.Context(), v.Caller, letter)
	return p.decided(w, r, v, deadLetterForm{}, "Your signature is withdrawn. The work is still stuck.", err)
}

func deadLetterOf(r *http.Request) (id.Of[app.DeadLetter], error) {
	if err := r.ParseForm(); err != nil {
		return id.Of[app.DeadLetter]{}, unreadable(err)
	}
	letter, err := id.Parse[app.DeadLetter](r.PathValue("letter"))
	if err != nil {
		return id.Of[app.DeadLetter]{}, errNoPage
	}
	return letter, nil
}

// redriveGroup tries all open letters of a cause and class again, and says what became of them.
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
	return see(w, r, "/desk/dead-letters")
}

// redrivenText sums up what became of many, with the first refusal's reason.
func redrivenText(report app.RedriveReport) string {
	done, why := 0, ""
	for _, l := range report.DeadLetters {
		switch {
		case l.Outcome == app.RedriveDone:
			done++
		case why == "":
			why = " First refusal: " + l.Detail
		}
	}
	if len(report.DeadLetters) == 0 {
		return "Nothing of the kind is open any more."
	}
	return fmt.Sprintf("%d of %d tried again.%s", done, len(report.DeadLetters), why)
}
