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

// deadLetterView is work that needs a person.
type deadLetterView struct {
	ID          string           `json:"id" format:"uuid"`
	Cause       string           `json:"cause" example:"compensation-exhausted"`
	Source      string           `json:"source" example:"step" doc:"event, step, refund or mail."`
	Class       string           `json:"class" doc:"What the last answer meant."`
	Detail      *string          `json:"detail" doc:"In our words, never a provider's."`
	Order       *string          `json:"order" format:"uuid"`
	Item        *string          `json:"item" format:"uuid"`
	Step        *string          `json:"step"`
	Tries       int              `json:"tries"`
	FirstAt     time.Time        `json:"first_at"`
	LastAt      time.Time        `json:"last_at"`
	Suggested   string           `json:"suggested" enum:"redrive,remove-by-hand,refund-by-hand,mend-address,second-person,wait,nothing" doc:"What to do first."`
	State       string           `json:"state" enum:"open,parked,redriven,abandoned,closed"`
	ClosedAt    *time.Time       `json:"closed_at"`
	Reason      *string          `json:"reason" doc:"What the person who closed it said."`
	Abandonment *abandonmentView `json:"abandonment" doc:"Null until somebody signed to abandon it."`
	Event       *parkedEventView `json:"event" doc:"That a consumer could not apply; null of every other source."`
}

// TransformSchema documents what may be null.
func (*deadLetterView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "abandonment", "event")
}

type parkedEventView struct {
	Consumer string `json:"consumer" example:"billing"`
	ID       string `json:"id" format:"uuid"`
	Type     string `json:"type" example:"order.fulfilled"`
	Seq      int    `json:"seq"`
	Held     int    `json:"blocked" doc:"Later events of the order that wait behind it, for this consumer, now."`
	Redoing  bool   `json:"redriving" doc:"It is being tried again."`
}

type abandonmentView struct {
	Reason   string    `json:"reason" enum:"verified_absent,removed_by_hand,account_closed,refunded_by_hand,other"`
	Text     *string   `json:"text"`
	Proof    string    `json:"proof"`
	FirstBy  string    `json:"first_by" format:"uuid" doc:"The member who signed first."`
	FirstAt  time.Time `json:"first_at"`
	SecondBy *string   `json:"second_by" format:"uuid" doc:"Null while it awaits a second person: until then nothing has happened."`
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
			Consumer: e.Consumer, ID: e.ID.String(), Type: string(e.Type), Seq: e.Seq, Held: e.Blocked, Redoing: e.Redriving,
		}
	}
	return v
}

// Letter embeds what a list shows of a dead letter: the library only sees what is embedded under an
// exported name.
type DeadLetter = deadLetterView

// deadLetterDetailView is all that a person needs to decide about a dead letter.
type deadLetterDetailView struct {
	DeadLetter
	Advice     string               `json:"advice" doc:"The suggestion in words."`
	About      deadLetterOrderView  `json:"about" doc:"The order it belongs to."`
	Attempts   []deadLetterCallView `json:"attempts" nullable:"false" doc:"Answers of the step, turnings and decisions, oldest first; the last 100."`
	LastAnswer *string              `json:"last_answer" doc:"The provider's, in our words."`
	Left       []leftView           `json:"left_at_provider" nullable:"false" doc:"Resources that are not confirmed gone, by the provider's own ids."`
	Refund     *refundView          `json:"refund" doc:"Of the item; null when none was asked for."`
	Reasons    []string             `json:"abandon_reasons" nullable:"false" doc:"On which the stuck work may be abandoned; empty when it may not."`
}

// TransformSchema documents what may be null.
func (*deadLetterDetailView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "abandonment", "event", "refund")
}

type deadLetterOrderView struct {
	ID         string  `json:"id" format:"uuid"`
	Number     string  `json:"number" example:"ORD-7K3M9QXZ"`
	State      string  `json:"state"`
	Settlement string  `json:"settlement"`
	Href       string  `json:"href" example:"/v1/orders/01900000-0000-7000-8000-000000000001"`
	Item       *string `json:"item" doc:"Its label or product."`
	ItemState  *string `json:"item_state"`
}

type deadLetterCallView struct {
	At     time.Time  `json:"at"`
	What   string     `json:"what" enum:"answer,compensating,decision"`
	Step   *string    `json:"step"`
	Class  *string    `json:"class" doc:"What the answer meant; null of a decision."`
	Note   string     `json:"note"`
	TookMS int64      `json:"took_ms"`
	NextAt *time.Time `json:"next_at" doc:"When the next call was set for."`
}

type leftView struct {
	Part       string   `json:"step" example:"server"`
	Generation int      `json:"generation"`
	Phase      string   `json:"phase" enum:"intent,created,ready,deleting,gone"`
	Refs       []string `json:"refs" nullable:"false" doc:"None while a create was never answered."`
}

// advice words the suggestions.
var advice = map[app.Suggestion]string{
	app.SuggestNothing: "Nothing to do: this is over.",
	app.SuggestWait:    "Nothing to do: the work goes on by itself, and this closes when it is through.",
	app.SuggestRedrive: "Try it again (redrive): the fault may be over. If it fails again, look at the provider.",
	app.SuggestRemove: "The provider refuses. Lift the protection or remove the resource by hand, then redrive; " +
		"where that cannot be, two people abandon it with proof.",
	app.SuggestPayByHand: "The payment provider refuses. Refund the amount another way, then two people abandon this as " +
		"refunded_by_hand with the transfer's reference as proof.",
	app.SuggestAddress: "The mail server refuses. Mend the customer's address or key, then redrive, or deliver anew " +
		"(redeliver).",
	app.SuggestSecond: "One person has signed to abandon this. A second one looks at the proof and signs the same, " +
		"or redrives it.",
}

func viewDeadLetterDetail(d app.DeadLetterDetail) deadLetterDetailView {
	v := deadLetterDetailView{
		DeadLetter: viewDeadLetter(d.DeadLetter), Advice: advice[d.Suggested()], Attempts: make([]deadLetterCallView,
			len(d.Calls)), Left: make([]leftView, len(d.Left)), Reasons: make([]string, len(d.Allows)),
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
	if d.Last != nil {
		v.LastAnswer = orNull(d.Last.Note)
	}
	for i, res := range d.Left {
		v.Left[i] = leftView{
			Part: res.Step, Generation: res.Generation, Phase: res.Phase.String(), Refs: append([]string{}, res.Refs...),
		}
	}
	if r := d.Refund; r != nil {
		shown := viewRefund(*r)
		v.Refund = &shown
	}
	for i, g := range d.Allows {
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
	Data       []deadLetterView      `json:"data" nullable:"false" doc:"Empty when groups were asked for."`
	NextCursor *string               `json:"next_cursor" doc:"Ask for the next page with it; null on the last one."`
	Groups     []deadLetterGroupView `json:"groups,omitempty" nullable:"false" doc:"With group=cause: how many there are of each cause and class, the most first."`
}

type deadLetterGroupView struct {
	Cause     string    `json:"cause" example:"compensation-exhausted"`
	Class     string    `json:"class"`
	Count     int       `json:"count"`
	Oldest    time.Time `json:"oldest"`
	Newest    time.Time `json:"newest"`
	Suggested string    `json:"suggested" enum:"redrive,remove-by-hand,refund-by-hand,mend-address,second-person,wait,nothing"`
}

// deadLetterList is what the list use case found.
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

// redrivenView is what became of many.
type redrivenView struct {
	DryRun   bool              `json:"dry_run"`
	Redriven int               `json:"redriven" doc:"How many were, or would be, tried again."`
	Results  []redrivenOneView `json:"results" nullable:"false"`
}

type redrivenOneView struct {
	ID      string  `json:"id" format:"uuid"`
	Order   *string `json:"order" format:"uuid"`
	Outcome string  `json:"outcome" enum:"redriven,would-redrive,refused,failed" doc:"Each is its own transaction: a refusal changes nothing for the others."`
	Code    *string `json:"code" doc:"Of a refusal."`
	Detail  *string `json:"detail" doc:"Of a refusal: why, and what to do."`
}

func showRedriven(_ app.Caller, all app.RedriveReport) reply[redrivenView] {
	v := redrivenView{DryRun: all.DryRun, Results: make([]redrivenOneView, len(all.DeadLetters))}
	for i, r := range all.DeadLetters {
		v.Results[i] = redrivenOneView{
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
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 when not given."`
	Cursor string `query:"cursor" maxLength:"512"`
	State  string `query:"state" enum:"open,parked,redriven,abandoned,closed" doc:"open is all that need a person, parked events too; parked is those alone."`
	Cause  string `query:"cause" maxLength:"100" doc:"Such as compensation-exhausted."`
	Order  string `query:"order" format:"uuid"`
	Group  string `query:"group" enum:"cause" doc:"Counts instead of letters; of open ones, when no state is given."`
}

type deadLetterInput struct {
	ID string `path:"id"`
}

type redriveBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Kept with the order's history."`
}

type redriveInput struct {
	ID   string `path:"id"`
	Body *redriveBody
}

// uuidText is an id in a list.
type uuidText string

// Schema documents its form.
func (uuidText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

type redriveManyBody struct {
	IDs    []uuidText `json:"ids,omitempty" maxItems:"100" nullable:"false" doc:"These; else the open ones of a cause and class."`
	Cause  string     `json:"cause,omitempty" maxLength:"100"`
	Class  string     `json:"class,omitempty" enum:"pending,rate-limited,ambiguous,suspended,capacity,retryable,invalid,forbidden,quota,protected,not-found"`
	Limit  int        `json:"limit,omitempty" minimum:"1" maximum:"100" doc:"100 when not given."`
	DryRun bool       `json:"dry_run,omitempty" doc:"Only say what would happen."`
	Reason string     `json:"reason,omitempty" maxLength:"500" doc:"Kept with each order's history."`
}

type redriveManyInput struct{ Body redriveManyBody }

type abandonBody struct {
	Reason string `json:"reason" enum:"verified_absent,removed_by_hand,account_closed,refunded_by_hand,other" doc:"refunded_by_hand for a stuck refund, the others for a stuck clean-up; other alone for what only has to be passed over, such as a parked event."`
	Text   string `json:"text,omitempty" maxLength:"500" doc:"In your words; the first signature under other needs it."`
	Proof  string `json:"proof,omitempty" maxLength:"500" doc:"A ticket, a protocol, a transfer's reference; the first signature needs it."`
}

type abandonInput struct {
	ID   string `path:"id"`
	Body abandonBody
}

type adoptBody struct {
	Part   string `json:"step" minLength:"1" maxLength:"100" example:"server" doc:"One that left_at_provider names."`
	Ref    string `json:"ref" minLength:"1" maxLength:"200" example:"srv-41f0" doc:"The provider's own id of the resource."`
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"How you know that it is this one. Kept with the order's history."`
}

type adoptInput struct {
	ID   string `path:"id"`
	Body adoptBody
}

func (s *server) deadLetterRoutes() {
	const tag = "operations"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/dead-letters", ID: "list-dead-letters", Tag: tag, Summary: "The fallout desk",
		Who: "operator, auditor",
		Description: "Work that ran out of retries or was refused for good, newest first; with group=cause how many there " +
			"are of each cause.",
	}, s.deadLetters, showDeadLetters)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/dead-letters/{id}", ID: "get-dead-letter", Tag: tag, Summary: "Read a dead letter",
		Who: "operator, auditor", Errors: []int{404},
		Description: "What failed, how often and how, what is left at the provider, how the refund stands, and what to do first.",
	}, func(ctx context.Context, c app.Caller, in *deadLetterInput) (app.DeadLetterDetail, error) {
		return s.useCases.DeadLetter(ctx, c, idIn[app.DeadLetter](in.ID))
	}, func(_ app.Caller, d app.DeadLetterDetail) reply[deadLetterDetailView] {
		return plain(viewDeadLetterDetail(d))
	})
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/redrive", ID: "redrive-dead-letters", Tag: tag,
		Summary: "Try many again", Who: "operator", Key: true,
		Description: "At most 100, each in its own transaction. By ids, or the open ones of a cause and class.",
	}, s.redriveMany, showRedriven)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/redrive", ID: "redrive-dead-letter", Tag: tag,
		Summary: "Try stuck work again", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "The same step with a fresh budget. An item that was going back goes on going back. A parked event is " +
			"applied again, then what waits behind it; its letter stays parked until that has " +
			"succeeded. A signature to abandon it is void.",
	}, func(ctx context.Context, c app.Caller, in *redriveInput) (app.DeadLetter, error) {
		return s.useCases.RedriveDeadLetter(ctx, c, idIn[app.DeadLetter](in.ID), orZero(in.Body).Reason)
	}, showDeadLetter)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/adopt", ID: "adopt-dead-letter", Tag: tag,
		Summary: "Say what is there at the provider", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "For a clean-up that is stuck over a part of which nobody knows whether it exists: you found it. The " +
			"clean-up is tried again; a worker first reads the resource by the id you give. " +
			"It is removed when it carries the labels of this item and part. If it does not, or is not there, it is left " +
			"alone and a new dead letter says so.",
	}, func(ctx context.Context, c app.Caller, in *adoptInput) (app.DeadLetter, error) {
		return s.useCases.AdoptDeadLetter(ctx, c, app.AdoptDeadLetter{
			DeadLetter: idIn[app.DeadLetter](in.ID), Part: in.Body.Part, Ref: in.Body.Ref, Reason: in.Body.Reason,
		})
	}, showDeadLetter)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/abandon", ID: "abandon-dead-letter", Tag: tag,
		Summary: "Sign that stuck work is given up", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "Takes two people. The first signature changes nothing: the answer is still open and its second_by is " +
			"null. The second, of another member with another login who gives the same reason, " +
			"carries it out: a clean-up counts as done, and the item is rolled back once its refund is accepted; a refund " +
			"counts as paid; a parked event is passed over, and what waits behind it is applied. A delivery is not given up: " +
			"redrive or redeliver it.",
	}, func(ctx context.Context, c app.Caller, in *abandonInput) (app.DeadLetter, error) {
		return s.useCases.AbandonDeadLetter(ctx, c, app.AbandonDeadLetter{
			DeadLetter: idIn[app.DeadLetter](in.ID), AbandonReason: app.AbandonReason(in.Body.Reason),
			Text: in.Body.Text, Proof: in.Body.Proof,
		})
	}, showDeadLetter)
	serve(s, route{
		Method: http.MethodDelete, Path: "/v1/dead-letters/{id}/abandon", ID: "withdraw-abandonment", Tag: tag,
		Summary: "Withdraw your signature", Who: "operator", Key: true, Errors: []int{404, 409},
		Description: "Of who signed first, while it awaits a second person.",
	}, func(ctx context.Context, c app.Caller, in *deadLetterInput) (app.DeadLetter, error) {
		return s.useCases.WithdrawAbandonment(ctx, c, idIn[app.DeadLetter](in.ID))
	}, showDeadLetter)
}

func showDeadLetter(_ app.Caller, d app.DeadLetter) reply[deadLetterView] {
	return plain(viewDeadLetter(d))
}

func (s *server) deadLetters(ctx context.Context, c app.Caller, in *deadLettersInput) (deadLetterList, error) {
	f, err := in.filter()
	if err != nil {
		return deadLetterList{}, err
	}
	var l deadLetterList
	if in.Group == "" {
		l.page, err = s.useCases.DeadLetters(ctx, c, f)
	} else {
		l.groups, err = s.useCases.DeadLetterGroups(ctx, c, f)
	}
	return l, err
}

func (s *server) redriveMany(ctx context.Context, c app.Caller, in *redriveManyInput) (app.RedriveReport, error) {
	b := in.Body
	many := app.RedriveDeadLetters{
		Cause: b.Cause, Class: named(b.Class, classes()...), Reason: b.Reason, Limit: b.Limit, DryRun: b.DryRun,
	}
	for _, l := range b.IDs {
		many.IDs = append(many.IDs, idIn[app.DeadLetter](string(l)))
	}
	return s.useCases.RedriveDeadLetters(ctx, c, many)
}

// classes are those that a dead letter may have.
func classes() []fault.Class {
	var all []fault.Class
	for c := fault.Pending; c <= fault.NotFound; c++ {
		all = append(all, c)
	}
	return all
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
