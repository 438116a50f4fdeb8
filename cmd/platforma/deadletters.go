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

// deadLetter is what the commands read of a dead letter.
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
		Consumer  string `json:"consumer"`
		Type      string `json:"type"`
		Seq       int    `json:"seq"`
		Blocked   int    `json:"blocked"`
		Redriving bool   `json:"redriving"`
	} `json:"event"`
}

// deadLetterDetail is what `show` reads of a dead letter.
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
		Step       string   `json:"step"`
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
	apiFlags
	State  string `default:"open" enum:"open,parked,redriven,abandoned,closed,all" help:"Only those in this state; open means all that need a person, parked events included."`
	Cause  string `help:"Only those of this cause, such as compensation-exhausted."`
	Order  string `help:"Only those of this order: its id or number."`
	Limit  int    `default:"50" help:"How many, at most 100."`
	Cursor string `help:"Where the previous page ended."`
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
	rows := make([][]string, 0, len(page.Data))
	for _, l := range page.Data {
		rows = append(rows, []string{
			l.ID, l.Cause, l.Class, dash(l.Step), strconv.Itoa(l.Tries),
			formatTime(l.LastAt), l.State, l.Suggested, dash(l.Order),
		})
	}
	if err := table(g.out, "ID CAUSE CLASS STEP TRIES LAST STATE SUGGESTED ORDER", rows); err != nil {
		return err
	}
	printCursor(g.out, page.Next)
	return nil
}

type deadLettersGroupsCmd struct {
	apiFlags
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
		rows = append(rows, []string{
			strconv.Itoa(l.Count), l.Cause, l.Class, formatTime(l.Oldest), formatTime(l.Newest), l.Suggested,
		})
	}
	return table(g.out, "COUNT CAUSE CLASS OLDEST NEWEST SUGGESTED", rows)
}

type deadLettersShowCmd struct {
	apiFlags
	ID string `arg:"" help:"The dead letter's id."`
}

// Run shows a dead letter with everything that is needed to decide about it.
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
		{"dead letter", l.ID + ", " + l.State},
		{"cause", l.Cause + " (" + l.Class + ") at " + dash(l.Step) + ", " + strconv.Itoa(l.Tries) + " tries"},
		{"failed", "first " + formatTime(l.FirstAt) + ", last " + formatTime(l.LastAt)},
		{"order", l.About.Number + ", " + words(l.About.State) + ", settlement " + l.About.Settlement},
		{"item", dash(l.About.Item) + ", " + words(dash(l.About.ItemState))},
		{"last answer", dash(l.LastAnswer)},
	}
	if e := l.Event; e != nil {
		blocked := strconv.Itoa(e.Blocked) + " later ones wait behind it"
		if e.Redriving {
			blocked += "; it is being tried again"
		}
		rows = append(rows, []string{
			"event", "number " + strconv.Itoa(e.Seq) + ", " + e.Type + ", which " + e.Consumer + " could not apply; " + blocked,
		})
	}
	if r := l.Refund; r != nil {
		rows = append(rows, []string{"refund", r.Amount.String() + " " + r.State + ", reference " + dash(r.Reference)})
	}
	if a := l.Abandonment; a != nil {
		rows = append(rows, []string{"abandonment", a.Reason + ", proof " + a.Proof + ", " + dash(a.Text)}, []string{
			"", "signed first by " + a.FirstBy + " " + formatTime(a.FirstAt) + ", second by " + dash(a.SecondBy),
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
				"  " + p.Step, p.Phase, "generation " + strconv.Itoa(p.Generation), strings.Join(p.Refs, " "),
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
		rows = append(rows, []string{formatTime(a.At), a.What, dash(a.Step), took, dash(a.Class), next, dash(&a.Note)})
	}
	return table(w, "  TIME WHAT STEP TOOK CLASS NEXT ANSWER", rows)
}

// redriveResult is the API's answer to a redrive.
type redriveResult struct {
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
	apiFlags
	IDs    []string `arg:"" optional:"" name:"id" help:"Dead letters to try again. Without any, --cause or --class selects open ones."`
	Cause  string   `help:"Those of this cause."`
	Class  string   `help:"Those of this class, such as retryable."`
	Limit  int      `default:"100" help:"How many, at most 100."`
	DryRun bool     `help:"Only say what would happen."`
	Reason string   `help:"Why they are tried again; stored in each order's history."`
}

// Run tries dead letters again. It ends with status 1 when one was refused.
func (c *deadLettersRedriveCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	if len(c.IDs) == 0 && c.Cause == "" && c.Class == "" {
		return errors.New("name the dead letters by their ids, or select them with --cause or --class; to see what there " +
			"is: platforma deadletters groups")
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
	var result redriveResult
	raw, err := s.call(g.ctx, http.MethodPost, "/v1/dead-letters/redrive", body, &result)
	if err != nil {
		return err
	}
	if !c.asJSON(g.out, raw) {
		if err := result.print(g.out); err != nil {
			return err
		}
	}
	if result.Redriven < len(result.Results) {
		return errReported
	}
	return nil
}

func (r redriveResult) print(w io.Writer) error {
	rows := make([][]string, 0, len(r.Results))
	for _, result := range r.Results {
		rows = append(rows, []string{result.ID, result.Outcome, dash(result.Detail)})
	}
	if err := table(w, "ID OUTCOME DETAIL", rows); err != nil {
		return err
	}
	done := "tried again"
	if r.DryRun {
		done = "would be tried again"
	}
	_, err := fmt.Fprintf(w, "%d of %d %s.\n", r.Redriven, len(r.Results), done)
	return err
}

type deadLettersAdoptCmd struct {
	apiFlags
	ID     string `arg:"" help:"The dead letter's id."`
	Step   string `required:"" help:"The step of the item that made the resource, as deadletters show names it."`
	Ref    string `required:"" help:"The provider's own id of the resource."`
	Reason string `required:"" help:"How you know that it is this resource; stored in the order's history."`
}

// Run asserts which resource is there that the clean-up could not find.
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
	_, err = fmt.Fprintf(g.out, "The clean-up goes on. If %s is this item's %s, it is removed; if not, it is left alone "+
		"and a new dead letter says so. To see what happens:\n  platforma orders saga %s\n", c.Ref, c.Step, dash(l.Order))
	return err
}

type deadLettersAbandonCmd struct {
	apiFlags
	ID       string `arg:"" help:"The dead letter's id."`
	Reason   string `help:"Why the work is given up: verified_absent, removed_by_hand, account_closed or other for a clean-up, refunded_by_hand for a refund. Both people must give the same."`
	Text     string `help:"The reason in your own words; required with other."`
	Proof    string `help:"A ticket, a record or a transfer's reference; the first signature needs it."`
	Withdraw bool   `help:"Withdraw your own first signature."`
}

// Run signs, first or second, that stuck work is given up.
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
		return errors.New("give the reason with --reason: verified_absent, removed_by_hand, account_closed or other for a " +
			"clean-up, refunded_by_hand for a refund")
	}
	raw, err := s.call(g.ctx, http.MethodPost, path,
		map[string]string{"reason": c.Reason, "text": c.Text, "proof": c.Proof}, &l)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	if l.State == "abandoned" {
		_, err = fmt.Fprintf(g.out, "Abandoned, signed by two people. To see the order: platforma orders show %s\n",
			dash(l.Order))
		return err
	}
	_, err = fmt.Fprintf(g.out, "You signed first. Nothing has happened yet: another operator must check the proof and "+
		"sign for the same reason:\n  platforma deadletters abandon %s --reason %s\n", l.ID, c.Reason)
	return err
}

// workItem is a refund that somebody transfers by hand.
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
	apiFlags
	Limit  int    `default:"50" help:"How many, at most 100."`
	Cursor string `help:"Where the previous page ended."`
}

// Run lists the refunds that an operator transfers by hand, oldest first.
func (c *workListCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	var page workItemPage
	raw, err := s.call(g.ctx, http.MethodGet,
		"/v1/work-items"+query("limit", strconv.Itoa(c.Limit), "cursor", c.Cursor), nil, &page)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	if len(page.Data) == 0 {
		_, err := fmt.Fprintln(g.out, "No refund has to be transferred by hand.")
		return err
	}
	var rows [][]string
	for _, i := range page.Data {
		rows = append(rows, []string{i.ID, i.Number, i.Amount.String(), i.Reference, i.State, formatTime(i.Since)})
	}
	if err := table(g.out, "ID ORDER AMOUNT PAYMENT STATE SINCE", rows); err != nil {
		return err
	}
	printCursor(g.out, page.Next)
	return nil
}

type workDoneCmd struct {
	apiFlags
	ID     string `arg:"" help:"The refund's id, as workitems list shows it."`
	Reason string `help:"A note, such as the transfer's own reference."`
}

// Run marks the money of a refund as transferred.
func (c *workDoneCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	for cursor := ""; ; {
		var page workItemPage
		path := "/v1/work-items" + query("limit", "100", "cursor", cursor)
		if _, err := s.call(g.ctx, http.MethodGet, path, nil, &page); err != nil {
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
			return fmt.Errorf("there is no refund %s to transfer by hand; to see those there are: platforma workitems list",
				c.ID)
		}
		cursor = *page.Next
	}
}
