package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// deadLetter is what the commands read of one.
type deadLetter struct {
	ID          string    `json:"id"`
	Cause       string    `json:"cause"`
	Class       string    `json:"class"`
	Detail      *string   `json:"detail"`
	Order       *string   `json:"order"`
	Step        *string   `json:"step"`
	Tries       int       `json:"tries"`
	FirstAt     time.Time `json:"first_at"`
	LastAt      time.Time `json:"last_at"`
	Suggested   string    `json:"suggested"`
	State       string    `json:"state"`
	Reason      *string   `json:"reason"`
	Abandonment *struct {
		Reason   string    `json:"reason"`
		Text     *string   `json:"text"`
		Proof    string    `json:"proof"`
		FirstBy  string    `json:"first_by"`
		FirstAt  time.Time `json:"first_at"`
		SecondBy *string   `json:"second_by"`
	} `json:"abandonment"`
	Event *struct {
		Consumer string `json:"consumer"`
		Type     string `json:"type"`
		Seq      int    `json:"seq"`
		Held     int    `json:"blocked"`
		Redoing  bool   `json:"redriving"`
	} `json:"event"`
}

// deadLetterDetail is what `show` reads besides.
type deadLetterDetail struct {
	deadLetter
	Advice string `json:"advice"`
	About  struct {
		Number     string  `json:"number"`
		State      string  `json:"state"`
		Settlement string  `json:"settlement"`
		Item       *string `json:"item"`
		ItemState  *string `json:"item_state"`
	} `json:"about"`
	Attempts []struct {
		At     time.Time  `json:"at"`
		What   string     `json:"what"`
		Step   *string    `json:"step"`
		Class  *string    `json:"class"`
		Note   string     `json:"note"`
		TookMS int64      `json:"took_ms"`
		NextAt *time.Time `json:"next_at"`
	} `json:"attempts"`
	LastAnswer *string `json:"last_answer"`
	Left       []struct {
		Part       string   `json:"step"`
		Generation int      `json:"generation"`
		Phase      string   `json:"phase"`
		Refs       []string `json:"refs"`
	} `json:"left_at_provider"`
	Refund *struct {
		State     string  `json:"state"`
		Amount    amount  `json:"amount"`
		Reference *string `json:"reference"`
	} `json:"refund"`
	Reasons []string `json:"abandon_reasons"`
}

type deadLettersListCmd struct {
	remote
	State  string `default:"open" enum:"open,parked,redriven,abandoned,closed,all" help:"Only those in this state; open is all that need a person, parked events too."`
	Cause  string `help:"Only those of this cause, such as compensation-exhausted."`
	Order  string `help:"Only those of this order: its id or number."`
	Limit  int    `default:"50" help:"How many, at most 100."`
	Cursor string `help:"Where the page before ended."`
}

// Run lists dead letters, newest first.
func (c *deadLettersListCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	order := ""
	if c.Order != "" {
		if order, err = s.orderID(g.ctx, c.Order); err != nil {
			return err
		}
	}
	state := c.State
	if state == "all" {
		state = ""
	}
	var page struct {
		Data []deadLetter `json:"data"`
		Next *string      `json:"next_cursor"`
	}
	raw, err := s.call(g.ctx, http.MethodGet, "/v1/dead-letters"+query("state", state, "cause", c.Cause, "order", order,
		"limit", strconv.Itoa(c.Limit), "cursor", c.Cursor), nil, &page)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	if len(page.Data) == 0 {
		_, err := fmt.Fprintln(g.out, "Nothing needs a person.")
		return err
	}
	var rows [][]string
	for _, l := range page.Data {
		rows = append(rows, []string{
			l.ID, l.Cause, l.Class, dash(l.Step), strconv.Itoa(l.Tries), day(l.LastAt), l.State, l.Suggested, dash(l.Order),
		})
	}
	if err := table(g.out, "ID CAUSE CLASS STEP TRIES LAST STATE SUGGESTED ORDER", rows); err != nil {
		return err
	}
	more(g.out, page.Next)
	return nil
}

type deadLettersGroupsCmd struct {
	remote
	State string `default:"open" enum:"open,parked,redriven,abandoned,closed" help:"Only those in this state."`
}

// Run counts dead letters by cause and class.
func (c *deadLettersGroupsCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	var page struct {
		Groups []struct {
			Cause, Class, Suggested string
			Count                   int
			Oldest, Newest          time.Time
		} `json:"groups"`
	}
	raw, err := s.call(g.ctx, http.MethodGet, "/v1/dead-letters"+query("group", "cause", "state", c.State), nil, &page)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	if len(page.Groups) == 0 {
		_, err := fmt.Fprintln(g.out, "Nothing needs a person.")
		return err
	}
	var rows [][]string
	for _, l := range page.Groups {
		rows = append(rows, []string{strconv.Itoa(l.Count), l.Cause, l.Class, day(l.Oldest), day(l.Newest), l.Suggested})
	}
	return table(g.out, "COUNT CAUSE CLASS OLDEST NEWEST SUGGESTED", rows)
}

type deadLettersShowCmd struct {
	remote
	ID string `arg:"" help:"The dead letter's id."`
}

// Run shows one with all that is needed to decide about it.
func (c *deadLettersShowCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	var l deadLetterDetail
	raw, err := s.call(g.ctx, http.MethodGet, "/v1/dead-letters/"+url.PathEscape(c.ID), nil, &l)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	return l.print(g.out)
}

func (l *deadLetterDetail) print(w io.Writer) error {
	rows := [][]string{
		{"letter", l.ID + ", " + l.State},
		{"cause", l.Cause + " (" + l.Class + ") at " + dash(l.Step) + ", " + strconv.Itoa(l.Tries) + " tries"},
		{"failed", "first " + day(l.FirstAt) + ", last " + day(l.LastAt)},
		{"order", l.About.Number + ", " + words(l.About.State) + ", settlement " + l.About.Settlement},
		{"item", dash(l.About.Item) + ", " + words(dash(l.About.ItemState))},
		{"last answer", dash(l.LastAnswer)},
	}
	if e := l.Event; e != nil {
		held := strconv.Itoa(e.Held) + " later ones wait behind it"
		if e.Redoing {
			held += "; it is being tried again"
		}
		rows = append(rows, []string{
			"event", "number " + strconv.Itoa(e.Seq) + ", " + e.Type + ", which " + e.Consumer + " could not apply; " + held,
		})
	}
	if r := l.Refund; r != nil {
		rows = append(rows, []string{"refund", r.Amount.String() + " " + r.State + ", reference " + dash(r.Reference)})
	}
	if a := l.Abandonment; a != nil {
		rows = append(rows, []string{"abandonment", a.Reason + ", proof " + a.Proof + ", " + dash(a.Text)}, []string{
			"", "signed first by " + a.FirstBy + " " + day(a.FirstAt) + ", second by " + dash(a.SecondBy),
		})
	}
	if l.Reason != nil {
		rows = append(rows, []string{"closed", *l.Reason})
	}
	rows = append(rows, []string{"what to do", l.Advice})
	if len(l.Reasons) > 0 {
		rows = append(rows, []string{"abandon on", strings.Join(l.Reasons, ", ")})
	}
	if err := table(w, "", rows); err != nil {
		return err
	}
	if len(l.Left) > 0 {
		fmt.Fprintln(w, "\nNot confirmed gone at the provider:")
		rows = nil
		for _, p := range l.Left {
			rows = append(rows, []string{
				"  " + p.Part, p.Phase, "generation " + strconv.Itoa(p.Generation), strings.Join(p.Refs, " "),
			})
		}
		if err := table(w, "", rows); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "\nWhat happened:")
	rows = nil
	for _, a := range l.Attempts {
		took, next := "-", "-"
		if a.NextAt != nil {
			next = a.NextAt.UTC().Format(timeOfDay)
		}
		if a.What != "decision" {
			took = strconv.FormatInt(a.TookMS, 10) + " ms"
		}
		rows = append(rows, []string{day(a.At), a.What, dash(a.Step), took, dash(a.Class), next, dash(&a.Note)})
	}
	return table(w, "  TIME WHAT STEP TOOK CLASS NEXT ANSWER", rows)
}

// redriven is what the API says of trying again.
type redriven struct {
	DryRun   bool `json:"dry_run"`
	Redriven int  `json:"redriven"`
	Results  []struct {
		ID      string  `json:"id"`
		Outcome string  `json:"outcome"`
		Code    *string `json:"code"`
		Detail  *string `json:"detail"`
	} `json:"results"`
}

type deadLettersRedriveCmd struct {
	remote
	IDs    []string `arg:"" optional:"" name:"id" help:"Dead letters to try again; without any --cause or --class selects open ones."`
	Cause  string   `help:"Those of this cause."`
	Class  string   `help:"Those of this class, such as retryable."`
	Limit  int      `default:"100" help:"At most so many, up to 100."`
	DryRun bool     `help:"Only say what would happen."`
	Reason string   `help:"Kept with each order's history."`
}

// Run tries dead letters again; it ends with status 1 when one was refused.
func (c *deadLettersRedriveCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	if len(c.IDs) == 0 && c.Cause == "" && c.Class == "" {
		return errors.New("say which: ids, or --cause or --class. What there is: platforma deadletters groups")
	}
	body := map[string]any{"dry_run": c.DryRun, "reason": c.Reason, "limit": c.Limit}
	if len(c.IDs) > 0 {
		body["ids"] = c.IDs
	}
	if c.Cause != "" {
		body["cause"] = c.Cause
	}
	if c.Class != "" {
		body["class"] = c.Class
	}
	var done redriven
	raw, err := s.call(g.ctx, http.MethodPost, "/v1/dead-letters/redrive", body, &done)
	if err != nil {
		return err
	}
	if !c.asJSON(g.out, raw) {
		if err := done.print(g.out); err != nil {
			return err
		}
	}
	if done.Redriven < len(done.Results) {
		return errReported
	}
	return nil
}

func (d redriven) print(w io.Writer) error {
	var rows [][]string
	for _, r := range d.Results {
		rows = append(rows, []string{r.ID, r.Outcome, dash(r.Detail)})
	}
	if err := table(w, "ID OUTCOME DETAIL", rows); err != nil {
		return err
	}
	done := "tried again"
	if d.DryRun {
		done = "would be tried again"
	}
	_, err := fmt.Fprintf(w, "%d of %d %s.\n", d.Redriven, len(d.Results), done)
	return err
}

type deadLettersAdoptCmd struct {
	remote
	ID     string `arg:"" help:"The dead letter's id."`
	Step   string `required:"" help:"Which step of the item made it, as show names what is left."`
	Ref    string `required:"" help:"The provider's own id of the resource."`
	Reason string `required:"" help:"How you know that it is this one. Kept with the order's history."`
}

// Run says that a resource is there, which the clean-up could not find.
func (c *deadLettersAdoptCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	var l deadLetter
	raw, err := s.call(g.ctx, http.MethodPost, "/v1/dead-letters/"+url.PathEscape(c.ID)+"/adopt",
		map[string]string{"step": c.Step, "ref": c.Ref, "reason": c.Reason}, &l)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	_, err = fmt.Fprintf(g.out,
		"The clean-up goes on. If %s is this item's %s it is removed; if not, it is left alone and a new dead letter says "+
			"so:\n  platforma orders saga %s\n", c.Ref, c.Step, dash(l.Order))
	return err
}

type deadLettersAbandonCmd struct {
	remote
	ID       string `arg:"" help:"The dead letter's id."`
	Reason   string `help:"On what grounds: verified_absent, removed_by_hand, account_closed or other for a clean-up, refunded_by_hand for a refund. Both people give the same."`
	Text     string `help:"In your words; needed with other."`
	Proof    string `help:"A ticket, a protocol, a transfer's reference; the first signature needs it."`
	Withdraw bool   `help:"Take your own first signature back."`
}

// Run signs that stuck work is given up, first or second.
func (c *deadLettersAbandonCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	path := "/v1/dead-letters/" + url.PathEscape(c.ID) + "/abandon"
	var l deadLetter
	if c.Withdraw {
		raw, err := s.call(g.ctx, http.MethodDelete, path, nil, &l)
		if err != nil || c.asJSON(g.out, raw) {
			return err
		}
		_, err = fmt.Fprintln(g.out, "Your signature is withdrawn. The work is still stuck.")
		return err
	}
	if c.Reason == "" {
		return errors.New("say on what grounds with --reason: verified_absent, removed_by_hand, account_closed or other " +
			"for a clean-up, refunded_by_hand for a refund")
	}
	raw, err := s.call(g.ctx, http.MethodPost, path,
		map[string]string{"reason": c.Reason, "text": c.Text, "proof": c.Proof}, &l)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	if l.State == "abandoned" {
		_, err = fmt.Fprintf(g.out, "Abandoned, signed by two people. How its order stands: platforma orders show %s\n",
			dash(l.Order))
		return err
	}
	_, err = fmt.Fprintf(g.out,
		"Signed first. Nothing has happened yet: another operator looks at the proof and signs the same:\n  platforma "+
			"deadletters abandon %s --reason %s\n", l.ID, c.Reason)
	return err
}

// workItem is a refund that somebody moves by hand.
type workItem struct {
	ID        string    `json:"id"`
	Order     string    `json:"order"`
	Number    string    `json:"number"`
	Amount    amount    `json:"amount"`
	Reference string    `json:"reference"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
}

type workItemPage struct {
	Data []workItem `json:"data"`
	Next *string    `json:"next_cursor"`
}

type workListCmd struct {
	remote
	Limit  int    `default:"50" help:"How many, at most 100."`
	Cursor string `help:"Where the page before ended."`
}

// Run lists the refunds that an operator moves by hand, oldest first.
func (c *workListCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	var page workItemPage
	raw, err := s.call(g.ctx, http.MethodGet, "/v1/work-items"+query("limit", strconv.Itoa(c.Limit), "cursor", c.Cursor),
		nil, &page)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	if len(page.Data) == 0 {
		_, err := fmt.Fprintln(g.out, "No refund waits for a hand.")
		return err
	}
	var rows [][]string
	for _, i := range page.Data {
		rows = append(rows, []string{i.ID, i.Number, i.Amount.String(), i.Reference, i.State, day(i.Since)})
	}
	if err := table(g.out, "ID ORDER AMOUNT PAYMENT STATE SINCE", rows); err != nil {
		return err
	}
	more(g.out, page.Next)
	return nil
}

type workDoneCmd struct {
	remote
	ID     string `arg:"" help:"The refund's id, as the list shows it."`
	Reason string `help:"Such as the transfer's own reference."`
}

// Run says that the money of a refund was moved.
func (c *workDoneCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	for cursor := ""; ; {
		var page workItemPage
		if _, err := s.call(g.ctx, http.MethodGet, "/v1/work-items"+query("limit", "100", "cursor", cursor),
			nil, &page); err != nil {
			return err
		}
		for _, i := range page.Data {
			if i.ID != strings.ToLower(c.ID) {
				continue
			}
			raw, err := s.call(g.ctx, http.MethodPost, "/v1/work-items/"+i.ID+"/done",
				map[string]string{"order": i.Order, "reason": c.Reason}, nil)
			if err != nil || c.asJSON(g.out, raw) {
				return err
			}
			_, err = fmt.Fprintf(g.out, "%s of %s is marked as refunded.\n", i.Amount, i.Number)
			return err
		}
		if page.Next == nil {
			return fmt.Errorf("no refund %s waits for a hand; those that do: platforma workitems list", c.ID)
		}
		cursor = *page.Next
	}
}
