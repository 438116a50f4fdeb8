package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// deadLetterView is a dead letter: work that needs a person.
type deadLetterView struct {
	ID          string           `json:"id" format:"uuid"`
	Cause       string           `json:"cause" example:"compensation-exhausted"`
	Source      string           `json:"source" example:"step" doc:"What failed: event, step, refund or mail."`
	Class       string           `json:"class" doc:"The class of the last answer."`
	Detail      *string          `json:"detail" doc:"What went wrong, in our words and never a provider's."`
	Order       *string          `json:"order" format:"uuid"`
	Item        *string          `json:"item" format:"uuid"`
	Step        *string          `json:"step"`
	Tries       int              `json:"tries"`
	FirstAt     time.Time        `json:"first_at"`
	LastAt      time.Time        `json:"last_at"`
	Suggested   string           `json:"suggested" enum:"redrive,remove-by-hand,refund-by-hand,mend-address,second-person,wait,nothing" doc:"What to try first."`
	State       string           `json:"state" enum:"open,parked,redriven,abandoned,closed"`
	ClosedAt    *time.Time       `json:"closed_at"`
	Reason      *string          `json:"reason" doc:"The reason that the person who closed it gave."`
	Abandonment *abandonmentView `json:"abandonment" doc:"Null until somebody has signed to abandon it."`
	Event       *parkedEventView `json:"event" doc:"The event that a consumer could not apply; null for every other source."`
}

// TransformSchema documents the members that may be null.
func (*deadLetterView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "abandonment", "event")
}

type parkedEventView struct {
	Consumer  string `json:"consumer" example:"billing"`
	ID        string `json:"id" format:"uuid"`
	Type      string `json:"type" example:"order.fulfilled"`
	Seq       int    `json:"seq"`
	Blocked   int    `json:"blocked" doc:"How many later events of the order are blocked behind it, for this consumer."`
	Redriving bool   `json:"redriving" doc:"Whether it is being redriven."`
}

type abandonmentView struct {
	Reason   string    `json:"reason" enum:"verified_absent,removed_by_hand,account_closed,refunded_by_hand,other"`
	Text     *string   `json:"text"`
	Proof    string    `json:"proof"`
	FirstBy  string    `json:"first_by" format:"uuid" doc:"The member who signed first."`
	FirstAt  time.Time `json:"first_at"`
	SecondBy *string   `json:"second_by" format:"uuid" doc:"The member who signed second. Null until then; the first signature alone changes nothing."`
}

func viewDeadLetter(d app.DeadLetter) deadLetterView {
	v := deadLetterView{
		ID: d.ID.String(), Cause: d.Code, Source: d.Source, Class: d.Class.String(), Detail: orNull(d.Detail),
		Order: idOrNull(d.Order), Item: idOrNull(d.Item),
		Step: orNull(d.Step), Tries: d.Attempts, FirstAt: stamp(d.FirstFailedAt), LastAt: stamp(d.At),
		Suggested: string(d.Suggested()), State: d.State.String(),
		ClosedAt: stampOr(d.ClosedAt), Reason: orNull(d.Reason),
	}
	if a := d.Abandonment; !a.FirstBy.IsZero() && a.FirstAt != nil {
		v.Abandonment = &abandonmentView{
			Reason: string(a.AbandonReason), Text: orNull(a.Text), Proof: a.Proof, FirstBy: a.FirstBy.String(),
			FirstAt: stamp(*a.FirstAt), SecondBy: idOrNull(a.SecondBy),
		}
	}
	if e := d.Event; e.Consumer != "" {
		v.Event = &parkedEventView{
			Consumer: e.Consumer, ID: e.ID.String(), Type: string(e.Type), Seq: e.Seq, Blocked: e.Blocked,
			Redriving: e.Redriving,
		}
	}
	return v
}

// DeadLetter is deadLetterView under an exported name, so that it can be embedded: the library ignores embedded
// fields with an unexported name.
type DeadLetter = deadLetterView

// deadLetterDetailView is what a person needs to decide about a dead letter.
type deadLetterDetailView struct {
	DeadLetter
	Advice     string               `json:"advice" doc:"The suggestion in words."`
	About      deadLetterOrderView  `json:"about" doc:"The order it belongs to."`
	Attempts   []deadLetterCallView `json:"attempts" nullable:"false" doc:"The last 100 answers of the step, starts of a compensation and decisions; the oldest first."`
	LastAnswer *string              `json:"last_answer" doc:"The provider's last answer, in our words."`
	Left       []leftResourceView   `json:"left_at_provider" nullable:"false" doc:"The resources that are not confirmed gone, with the provider's own ids."`
	Refund     *refundView          `json:"refund" doc:"The item's refund; null if none was requested."`
	Reasons    []string             `json:"abandon_reasons" nullable:"false" doc:"The reasons for which the stuck work may be abandoned; empty if it cannot be."`
}

// TransformSchema documents the members that may be null.
func (*deadLetterDetailView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "abandonment", "event", "refund")
}

type deadLetterOrderView struct {
	ID         string  `json:"id" format:"uuid"`
	Number     string  `json:"number" example:"ORD-7K3M9QXZ"`
	State      string  `json:"state"`
	Settlement string  `json:"settlement"`
	Href       string  `json:"href" example:"/v1/orders/01900000-0000-7000-8000-000000000001"`
	Item       *string `json:"item" doc:"The item's label, or its product."`
	ItemState  *string `json:"item_state"`
}

type deadLetterCallView struct {
	At     time.Time  `json:"at"`
	What   string     `json:"what" enum:"answer,compensating,decision"`
	Step   *string    `json:"step"`
	Class  *string    `json:"class" doc:"The class of the answer; null for a decision."`
	Note   string     `json:"note"`
	TookMS int64      `json:"took_ms"`
	NextAt *time.Time `json:"next_at" doc:"The time that was set for the next call."`
}

type leftResourceView struct {
	Step       string   `json:"step" example:"server"`
	Generation int      `json:"generation"`
	Phase      string   `json:"phase" enum:"intent,created,ready,deleting,gone"`
	Refs       []string `json:"refs" nullable:"false" doc:"Empty if no create was ever answered."`
}

// advice holds the texts of the suggestions.
var advice = map[app.Suggestion]string{
	app.SuggestNothing: "Nothing to do: this is closed.",
	app.SuggestWait:    "Nothing to do: the work goes on by itself, and this closes when it is done.",
	app.SuggestRedrive: "Redrive it: the cause may be gone. If it fails again, look at the provider.",
	app.SuggestRemove: "The provider refuses. Lift the protection or remove the resource by hand, then redrive it. " +
		"If that is not possible, two people can abandon it with proof.",
	app.SuggestPayByHand: "The payment provider refuses. Refund the amount in another way. Then two people can " +
		"abandon it as refunded_by_hand, with the reference of the transfer as proof.",
	app.SuggestAddress: "The mail server refuses. Correct the customer's address or key, then redrive it, or redeliver " +
		"the item.",
	app.SuggestSecond: "One person has signed to abandon it. A second person checks the proof and signs too, or " +
		"redrives it.",
}

func viewDeadLetterDetail(d app.DeadLetterDetail) deadLetterDetailView {
	v := deadLetterDetailView{
		DeadLetter: viewDeadLetter(d.DeadLetter), Advice: advice[d.Suggested()],
		Attempts: make([]deadLetterCallView, len(d.Calls)), Left: make([]leftResourceView, len(d.Remaining)),
		Reasons: make([]string, len(d.AbandonReasons)),
		About: deadLetterOrderView{
			ID: d.Of.ID.String(), Number: d.Of.Number, State: d.Of.State.String(),
			Settlement: d.Of.Settlement.String(), Href: "/v1/orders/" + d.Of.ID.String(),
		},
	}
	if it := d.About; it != nil {
		name := it.Label
		if name == "" {
			name = it.Snapshot.Product
		}
		v.About.Item, v.About.ItemState = orNull(name), orNull(it.State.String())
	}
	for i, e := range d.Calls {
		v.Attempts[i] = deadLetterCallView{
			At: stamp(e.At), What: e.What.String(), Step: orNull(e.Step), Note: e.Note, TookMS: e.Took.Milliseconds(),
			NextAt: stampOr(&e.Next),
		}
		if e.What != app.LogDecision {
			v.Attempts[i].Class = orNull(e.Class.String())
		}
	}
	if d.LastAnswer != nil {
		v.LastAnswer = orNull(d.LastAnswer.Note)
	}
	for i, res := range d.Remaining {
		v.Left[i] = leftResourceView{
			Step: res.Step, Generation: res.Generation, Phase: res.Phase.String(), Refs: append([]string{}, res.Refs...),
		}
	}
	if r := d.Refund; r != nil {
		shown := viewRefund(*r)
		v.Refund = &shown
	}
	for i, g := range d.AbandonReasons {
		v.Reasons[i] = string(g)
	}
	return v
}

func viewRefund(r order.Refund) refundView {
	return refundView{
		ID: r.ID.String(), PaymentID: r.Payment.String(), ItemID: r.Item.String(), State: r.State.String(),
		Amount: amountOf(r.Cents, r.Currency), Reference: orNull(r.Reference), AcceptedAt: stampOr(r.AcceptedAt),
	}
}

// deadLetterListView is a page of dead letters, or their groups.
type deadLetterListView struct {
	Data       []deadLetterView      `json:"data" nullable:"false" doc:"Empty if groups were requested."`
	NextCursor *string               `json:"next_cursor" doc:"The cursor of the next page; null on the last page."`
	Groups     []deadLetterGroupView `json:"groups,omitempty" nullable:"false" doc:"With group=cause: the number of dead letters of each cause and class, the largest first."`
}

type deadLetterGroupView struct {
	Cause     string    `json:"cause" example:"compensation-exhausted"`
	Class     string    `json:"class"`
	Count     int       `json:"count"`
	Oldest    time.Time `json:"oldest"`
	Newest    time.Time `json:"newest"`
	Suggested string    `json:"suggested" enum:"redrive,remove-by-hand,refund-by-hand,mend-address,second-person,wait,nothing"`
}

// deadLetterList is the result of listing: a page of dead letters, or their groups.
type deadLetterList struct {
	page   app.Page[app.DeadLetter]
	groups []app.DeadLetterGroup
}

func showDeadLetters(_ app.Caller, l deadLetterList) reply[deadLetterListView] {
	paged := page(l.page, viewDeadLetter)
	v := deadLetterListView{Data: paged.Body.Data, NextCursor: paged.Body.NextCursor}
	for _, g := range l.groups {
		v.Groups = append(v.Groups, deadLetterGroupView{
			Cause: g.Cause, Class: g.Class.String(), Count: g.Count, Oldest: stamp(g.Oldest), Newest: stamp(g.Newest),
			Suggested: string(g.Suggested()),
		})
	}
	return reply[deadLetterListView]{Body: v, Next: paged.Next}
}

// redriveReportView is the outcome of redriving many dead letters.
type redriveReportView struct {
	DryRun   bool                `json:"dry_run"`
	Redriven int                 `json:"redriven" doc:"How many were redriven, or would be."`
	Results  []redriveResultView `json:"results" nullable:"false"`
}

type redriveResultView struct {
	ID      string  `json:"id" format:"uuid"`
	Order   *string `json:"order" format:"uuid"`
	Outcome string  `json:"outcome" enum:"redriven,would-redrive,refused,failed" doc:"Each dead letter has its own transaction: a refusal does not affect the others."`
	Code    *string `json:"code" doc:"The code of the refusal."`
	Detail  *string `json:"detail" doc:"Why it was refused, and what to do."`
}

func showRedriveReport(_ app.Caller, report app.RedriveReport) reply[redriveReportView] {
	v := redriveReportView{DryRun: report.DryRun, Results: make([]redriveResultView, len(report.DeadLetters))}
	for i, r := range report.DeadLetters {
		v.Results[i] = redriveResultView{
			ID: r.DeadLetter.String(), Order: idOrNull(r.Order), Outcome: string(r.Outcome), Code: orNull(r.Code),
			Detail: orNull(r.Detail),
		}
		if r.Outcome == app.RedriveDone || r.Outcome == app.RedriveWould {
			v.Redriven++
		}
	}
	return plain(v)
}

type deadLettersInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 if it is not sent."`
	Cursor string `query:"cursor" maxLength:"512"`
	State  string `query:"state" enum:"open,parked,redriven,abandoned,closed" doc:"open finds all that need a person, including parked events; parked finds only parked events."`
	Cause  string `query:"cause" maxLength:"100" doc:"A cause, such as compensation-exhausted."`
	Order  string `query:"order" format:"uuid"`
	Group  string `query:"group" enum:"cause" doc:"Returns the number of dead letters of each group instead of the dead letters. Without a state, only open ones are counted."`
}

type deadLetterInput struct {
	ID string `path:"id"`
}

type redriveBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Stored in the order's history."`
}

type redriveInput struct {
	ID   string `path:"id"`
	Body *redriveBody
}

// uuidText is an id in a list.
type uuidText string

// Schema documents the format.
func (uuidText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

type redriveManyBody struct {
	IDs    []uuidText `json:"ids,omitempty" maxItems:"100" nullable:"false" doc:"The dead letters to redrive. Without ids, the open ones of the cause and class are redriven."`
	Cause  string     `json:"cause,omitempty" maxLength:"100"`
	Class  string     `json:"class,omitempty" enum:"pending,rate-limited,ambiguous,suspended,capacity,retryable,invalid,forbidden,quota,protected,not-found"`
	Limit  int        `json:"limit,omitempty" minimum:"1" maximum:"100" doc:"100 if it is not sent."`
	DryRun bool       `json:"dry_run,omitempty" doc:"Only report what would happen."`
	Reason string     `json:"reason,omitempty" maxLength:"500" doc:"Stored in the history of each order."`
}

type redriveManyInput struct{ Body redriveManyBody }

type abandonBody struct {
	Reason string `json:"reason" enum:"verified_absent,removed_by_hand,account_closed,refunded_by_hand,other" doc:"refunded_by_hand is for a stuck refund, and the others are for a stuck compensation. Only other is for work that can be skipped, such as a parked event."`
	Text   string `json:"text,omitempty" maxLength:"500" doc:"The reason in your own words. The first signature needs it if the reason is other."`
	Proof  string `json:"proof,omitempty" maxLength:"500" doc:"A ticket, a record or the reference of a transfer. The first signature needs it."`
}

type abandonInput struct {
	ID   string `path:"id"`
	Body abandonBody
}

type adoptBody struct {
	Step   string `json:"step" minLength:"1" maxLength:"100" example:"server" doc:"A step in left_at_provider."`
	Ref    string `json:"ref" minLength:"1" maxLength:"200" example:"srv-41f0" doc:"The provider's own id of the resource."`
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"How you know that this is the resource. Stored in the order's history."`
}

type adoptInput struct {
	ID   string `path:"id"`
	Body adoptBody
}

func (s *server) deadLetterRoutes() {
	const tag = "operations"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/dead-letters", ID: "list-dead-letters", Tag: tag, Summary: "List dead letters",
		Who: "operator, auditor",
		Description: "The fallout desk: work that ran out of retries or was refused for good, the newest first. With " +
			"group=cause, the number of dead letters of each cause and class.",
	}, s.deadLetters, showDeadLetters)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/dead-letters/{id}", ID: "get-dead-letter", Tag: tag, Summary: "Read a dead letter",
		Who: "operator, auditor", Errors: []int{404},
		Description: "What failed, how often and how, what is left at the provider, the state of the refund, and what " +
			"to try first.",
	}, func(ctx context.Context, c app.Caller, in *deadLetterInput) (app.DeadLetterDetail, error) {
		return s.useCases.DeadLetter(ctx, c, idIn[app.DeadLetter](in.ID))
	}, func(_ app.Caller, d app.DeadLetterDetail) reply[deadLetterDetailView] {
		return plain(viewDeadLetterDetail(d))
	})
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/redrive", ID: "redrive-dead-letters", Tag: tag,
		Summary: "Redrive many dead letters", Who: "operator", Key: true,
		Description: "At most 100, each in its own transaction. You name their ids, or the cause and class of open ones.",
	}, s.redriveMany, showRedriveReport)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/redrive", ID: "redrive-dead-letter", Tag: tag,
		Summary: "Redrive a dead letter", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "Tries the same step again with all its retries. An item in compensation stays in compensation. A " +
			"parked event is applied again, and then the events that are blocked behind it; its dead letter stays " +
			"parked until that has succeeded. A signature to abandon the dead letter becomes void.",
	}, func(ctx context.Context, c app.Caller, in *redriveInput) (app.DeadLetter, error) {
		return s.useCases.RedriveDeadLetter(ctx, c, idIn[app.DeadLetter](in.ID), orZero(in.Body).Reason)
	}, showDeadLetter)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/adopt", ID: "adopt-dead-letter", Tag: tag,
		Summary: "Adopt a resource at the provider", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "For a compensation that is stuck because nobody knows whether the resource of a step exists, if you " +
			"have found it. The compensation is tried again, and a worker first reads the resource by the id that you " +
			"send. If the resource has the labels of this item and step, it is removed. Otherwise it is left alone, and " +
			"a new dead letter says so.",
	}, func(ctx context.Context, c app.Caller, in *adoptInput) (app.DeadLetter, error) {
		return s.useCases.AdoptDeadLetter(ctx, c, app.AdoptDeadLetter{
			DeadLetter: idIn[app.DeadLetter](in.ID), Step: in.Body.Step, Ref: in.Body.Ref, Reason: in.Body.Reason,
		})
	}, showDeadLetter)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/abandon", ID: "abandon-dead-letter", Tag: tag,
		Summary: "Sign to abandon a dead letter", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "Needs two people. The first signature changes nothing: the dead letter is still open, and second_by " +
			"is null. The second signature takes effect; it must come from another member with another login, and give " +
			"the same reason. A compensation then counts as done, and the item is rolled back when its refund is accepted. " +
			"A refund counts as paid. A parked event is skipped, and the events that are blocked behind it are applied. " +
			"A delivery of credentials cannot be abandoned: redrive or redeliver it.",
	}, func(ctx context.Context, c app.Caller, in *abandonInput) (app.DeadLetter, error) {
		return s.useCases.AbandonDeadLetter(ctx, c, app.AbandonDeadLetter{
			DeadLetter: idIn[app.DeadLetter](in.ID), AbandonReason: app.AbandonReason(in.Body.Reason),
			Text: in.Body.Text, Proof: in.Body.Proof,
		})
	}, showDeadLetter)
	serve(s, route{
		Method: http.MethodDelete, Path: "/v1/dead-letters/{id}/abandon", ID: "withdraw-abandonment", Tag: tag,
		Summary: "Withdraw your signature", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "For the member who signed first, until a second person signs.",
	}, func(ctx context.Context, c app.Caller, in *deadLetterInput) (app.DeadLetter, error) {
		return s.useCases.WithdrawAbandonment(ctx, c, idIn[app.DeadLetter](in.ID))
	}, showDeadLetter)
}

func showDeadLetter(_ app.Caller, d app.DeadLetter) reply[deadLetterView] {
	return plain(viewDeadLetter(d))
}

// deadLetters lists dead letters, or counts them by group.
func (s *server) deadLetters(ctx context.Context, c app.Caller, in *deadLettersInput) (deadLetterList, error) {
	f, err := in.filter()
	if err != nil {
		return deadLetterList{}, err
	}
	var found deadLetterList
	if in.Group == "" {
		found.page, err = s.useCases.DeadLetters(ctx, c, f)
	} else {
		found.groups, err = s.useCases.DeadLetterGroups(ctx, c, f)
	}
	return found, err
}

func (s *server) redriveMany(ctx context.Context, c app.Caller, in *redriveManyInput) (app.RedriveReport, error) {
	b := in.Body
	many := app.RedriveDeadLetters{
		Cause: b.Cause, Class: named(b.Class, classes()...), Reason: b.Reason, Limit: b.Limit, DryRun: b.DryRun,
	}
	for _, deadLetter := range b.IDs {
		many.IDs = append(many.IDs, idIn[app.DeadLetter](string(deadLetter)))
	}
	return s.useCases.RedriveDeadLetters(ctx, c, many)
}

// classes returns the classes that a dead letter may have.
func classes() []fault.Class {
	var classes []fault.Class
	for c := fault.Pending; c <= fault.NotFound; c++ {
		classes = append(classes, c)
	}
	return classes
}

func (in *deadLettersInput) filter() (app.DeadLetterFilter, error) {
	f := app.DeadLetterFilter{Cursor: in.Cursor, Limit: limitOf(in.Limit), Cause: in.Cause}
	f.State = named(in.State, app.DeadLetterOpen, app.DeadLetterParked, app.DeadLetterRedriven, app.DeadLetterAbandoned,
		app.DeadLetterClosed)
	if in.Order == "" {
		return f, nil
	}
	var err error
	if f.Order, err = id.Parse[order.Order](in.Order); err != nil {
		return f, badParameter("order", "This must be an id: a UUID.", "uuid")
	}
	return f, nil
}
