package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// orderLine is what the commands read of an order.
type orderLine struct {
	ID         string    `json:"id"`
	Number     string    `json:"number"`
	ExternalID *string   `json:"external_id"`
	State      string    `json:"state"`
	Outcome    string    `json:"outcome"`
	Settlement string    `json:"settlement"`
	Version    int       `json:"version"`
	Policy     string    `json:"fulfillment_policy"`
	Actions    []string  `json:"allowed_actions"`
	CreatedAt  time.Time `json:"created_at"`
	Totals     struct {
		DueNow amount `json:"due_now"`
	} `json:"totals"`
	Items []struct {
		ID          string     `json:"id"`
		Product     string     `json:"product"`
		Region      string     `json:"region"`
		Label       *string    `json:"label"`
		State       string     `json:"state"`
		Progress    int        `json:"progress"`
		Detail      *string    `json:"detail"`
		Attempts    int        `json:"attempts"`
		NextRetryAt *time.Time `json:"next_retry_at"`
		Allocation  *amount    `json:"allocation"`
	} `json:"items"`
	Payments []struct {
		State     string    `json:"state"`
		Provider  string    `json:"provider"`
		Reference string    `json:"reference"`
		Amount    amount    `json:"amount"`
		PaidAt    time.Time `json:"paid_at"`
	} `json:"payments"`
	Refunds []struct {
		ItemID    string  `json:"item_id"`
		State     string  `json:"state"`
		Amount    amount  `json:"amount"`
		Reference *string `json:"reference"`
	} `json:"refunds"`
	Faults []struct {
		Pointer *string `json:"pointer"`
		Message string  `json:"message"`
	} `json:"faults"`
}

// itemName returns the label of an item, or its product when it has none. It returns "-" when the order has no
// such item, as for a task of the whole order.
func (o *orderLine) itemName(id string) string {
	for _, it := range o.Items {
		if it.ID != id {
			continue
		}
		if it.Label != nil && *it.Label != "" {
			return *it.Label
		}
		return it.Product
	}
	return "-"
}

// orderID returns the id of an order that is named by its id or its number.
func (s session) orderID(ctx context.Context, name string) (string, error) {
	if !strings.HasPrefix(strings.ToUpper(name), "ORD-") {
		return url.PathEscape(name), nil
	}
	var page struct {
		Data []orderLine `json:"data"`
	}
	path := "/v1/orders" + query("q", name, "include_deleted", "true", "limit", "10")
	if _, err := s.call(ctx, http.MethodGet, path, nil, &page); err != nil {
		return "", err
	}
	for _, o := range page.Data {
		if strings.EqualFold(o.Number, name) {
			return o.ID, nil
		}
	}
	return "", fmt.Errorf("there is no order %s here; to see the orders: platforma orders list", name)
}

// order reads an order by its id or number.
func (s session) order(ctx context.Context, name string) (o orderLine, raw []byte, err error) {
	id, err := s.orderID(ctx, name)
	if err != nil {
		return o, nil, err
	}
	raw, err = s.call(ctx, http.MethodGet, "/v1/orders/"+id, nil, &o)
	return o, raw, err
}

type ordersListCmd struct {
	apiFlags
	State      string `help:"Only those in this state, such as provisioning."`
	Settlement string `help:"Only those with this settlement: open, compensating, settled or stuck."`
	Search     string `help:"Only those whose number, external id or label begins with this."`
	Deleted    bool   `help:"List cancelled orders too."`
	Limit      int    `default:"50" help:"How many, at most 100."`
	Cursor     string `help:"Where the previous page ended."`
}

// Run lists orders, newest first.
func (c *ordersListCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	includeDeleted := ""
	if c.Deleted {
		includeDeleted = "true"
	}
	var page struct {
		Data []orderLine `json:"data"`
		Next *string     `json:"next_cursor"`
	}
	path := "/v1/orders" + query("state", c.State, "settlement", c.Settlement, "q", c.Search,
		"include_deleted", includeDeleted, "limit", strconv.Itoa(c.Limit), "cursor", c.Cursor)
	raw, err := s.call(g.ctx, http.MethodGet, path, nil, &page)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	if len(page.Data) == 0 {
		_, err := fmt.Fprintln(g.out, "No orders.")
		return err
	}
	var rows [][]string
	for _, o := range page.Data {
		rows = append(rows, []string{
			o.Number, o.State, o.Outcome, o.Settlement, strconv.Itoa(len(o.Items)), o.Totals.DueNow.String(),
			formatTime(o.CreatedAt), dash(o.ExternalID),
		})
	}
	if err := table(g.out, "NUMBER STATE OUTCOME SETTLEMENT ITEMS DUE CREATED EXTERNAL", rows); err != nil {
		return err
	}
	printCursor(g.out, page.Next)
	return nil
}

type ordersShowCmd struct {
	apiFlags
	Order string `arg:"" help:"The order's id or number."`
}

// Run shows an order with its items, payments and refunds.
func (c *ordersShowCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	o, raw, err := s.order(g.ctx, c.Order)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	return o.print(g.out)
}

func (o *orderLine) print(w io.Writer) error {
	fmt.Fprintf(w, "%s  %s, outcome %s, settlement %s\n", o.Number, words(o.State), o.Outcome, o.Settlement)
	fmt.Fprintf(w, "id %s, version %d, %s, created %s, due %s\n", o.ID, o.Version, o.Policy,
		formatTime(o.CreatedAt), o.Totals.DueNow)
	if len(o.Actions) > 0 {
		fmt.Fprintf(w, "you could: %s\n", strings.Join(o.Actions, ", "))
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, it := range o.Items {
		detail := dash(it.Detail)
		if it.NextRetryAt != nil {
			detail = "next call " + it.NextRetryAt.UTC().Format(timeOfDay)
		}
		paid := "-"
		if it.Allocation != nil {
			paid = it.Allocation.String()
		}
		rows = append(rows, []string{
			o.itemName(it.ID), it.Product, it.Region, words(it.State), strconv.Itoa(it.Progress) + " %",
			strconv.Itoa(it.Attempts), paid, detail,
		})
	}
	if err := table(w, "ITEM PRODUCT REGION STATE PROGRESS ATTEMPTS PAID DETAIL", rows); err != nil {
		return err
	}
	rows = nil
	for _, p := range o.Payments {
		rows = append(rows, []string{"payment", p.Amount.String(), p.State, p.Provider, p.Reference})
	}
	for _, r := range o.Refunds {
		rows = append(rows, []string{"refund", r.Amount.String(), r.State, o.itemName(r.ItemID), dash(r.Reference)})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		if err := table(w, "MONEY AMOUNT STATE OF REFERENCE", rows); err != nil {
			return err
		}
	}
	for _, f := range o.Faults {
		fmt.Fprintf(w, "fault %s: %s\n", dash(f.Pointer), f.Message)
	}
	if o.Settlement == "stuck" {
		fmt.Fprintf(w, "\nThis order needs a person: platforma deadletters list --order %s\n", o.Number)
	}
	return nil
}

type ordersWatchCmd struct {
	apiFlags
	Order string        `arg:"" help:"The order's id or number."`
	Every time.Duration `default:"500ms" help:"How often to read the order."`
}

// Run shows an order's progress until it is at rest: a bar for each item on a terminal, a line for each change
// elsewhere. It ends with status 1 when the order was not fulfilled.
func (c *ordersWatchCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	id, err := s.orderID(g.ctx, c.Order)
	if err != nil {
		return err
	}
	show := newProgress(g.out)
	tick := time.NewTicker(max(c.Every, 50*time.Millisecond))
	defer tick.Stop()
	for version := -1; ; {
		var o orderLine
		raw, err := s.call(g.ctx, http.MethodGet, "/v1/orders/"+id, nil, &o)
		if err != nil {
			return err
		}
		if !c.JSON {
			show.draw(o.progress())
		} else if o.Version != version {
			c.asJSON(g.out, raw)
		}
		version = o.Version
		if o.Settlement == "settled" || o.Settlement == "stuck" {
			return c.printResult(g.out, o)
		}
		select {
		case <-g.ctx.Done():
			return g.ctx.Err()
		case <-tick.C:
		}
	}
}

// printResult prints how the order ended. It returns errReported when the order was not fulfilled.
func (c *ordersWatchCmd) printResult(w io.Writer, o orderLine) error {
	if !c.JSON {
		fmt.Fprintf(w, "%s is %s, outcome %s.\n", o.Number, words(o.State), o.Outcome)
		if o.Settlement == "stuck" {
			fmt.Fprintf(w, "It needs a person: platforma deadletters list --order %s\n", o.Number)
		}
	}
	if o.State != "fulfilled" {
		return errReported
	}
	return nil
}

// progress returns the order as the bars show it, with a different name for each item.
func (o *orderLine) progress() demoOrder {
	d := demoOrder{ID: o.ID, Number: o.Number, State: o.State, Outcome: o.Outcome, Settlement: o.Settlement}
	used := map[string]int{}
	for _, it := range o.Items {
		name := o.itemName(it.ID)
		if used[name]++; used[name] > 1 {
			name += " " + strconv.Itoa(used[name])
		}
		d.Items = append(d.Items, demoItemState{
			Product: it.Product, Label: name, State: it.State, Progress: it.Progress, Detail: dash(it.Detail),
		})
	}
	return d
}

type ordersSagaCmd struct {
	apiFlags
	Order string `arg:"" help:"The order's id or number."`
}

// sagaLog is what the command reads of an order's saga log.
type sagaLog struct {
	Tasks []struct {
		Item       *string `json:"item"`
		Kind       string  `json:"kind"`
		State      string  `json:"state"`
		Direction  string  `json:"direction"`
		Generation int     `json:"generation"`
		Steps      []struct {
			Step      string  `json:"step"`
			Direction string  `json:"direction"`
			Phase     *string `json:"phase"`
			Attempts  []struct {
				At      time.Time  `json:"at"`
				TookMS  *int64     `json:"took_ms"`
				Class   *string    `json:"class"`
				Message *string    `json:"message"`
				NextAt  *time.Time `json:"next_at"`
			} `json:"attempts"`
		} `json:"steps"`
		Decisions []struct {
			At      time.Time `json:"at"`
			Message string    `json:"message"`
		} `json:"decisions"`
	} `json:"tasks"`
}

// Run prints how an order was built and compensated: every task with its calls in the order of time.
func (c *ordersSagaCmd) Run(g *globals) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	o, _, err := s.order(g.ctx, c.Order)
	if err != nil {
		return err
	}
	var log sagaLog
	raw, err := s.call(g.ctx, http.MethodGet, "/v1/orders/"+o.ID+"/saga", nil, &log)
	if err != nil || c.asJSON(g.out, raw) {
		return err
	}
	fmt.Fprintf(g.out, "%s  %s, outcome %s, settlement %s; created %s UTC\n", o.Number, words(o.State), o.Outcome,
		o.Settlement, formatTime(o.CreatedAt))
	return log.print(g.out, &o)
}

// timeOfDay is the format of a time of day in the output, in UTC.
const timeOfDay = "15:04:05.000"

// sagaLine is a line of the printed saga log. Successive polls with the same answer share one line.
type sagaLine struct {
	at          time.Time
	first, last int    // numbers of the step's calls, from 1; 0 for a decision
	mergeKey    string // successive calls with the same key share a line
	cells       []string
}

func (s *sagaLog) print(w io.Writer, o *orderLine) error {
	for i, t := range s.Tasks {
		name := "the order"
		if t.Item != nil {
			name = o.itemName(*t.Item)
		}
		fmt.Fprintf(w, "\n%s %s: %s, direction %s, generation %d\n", t.Kind, name, t.State, t.Direction, t.Generation)
		var rows [][]string
		for _, l := range s.lines(i) {
			if l.last > l.first {
				l.cells[3] += "-" + strconv.Itoa(l.last)
			}
			rows = append(rows, l.cells)
		}
		if len(rows) == 0 {
			fmt.Fprintln(w, "  not started")
			continue
		}
		if err := table(w, "  TIME DIRECTION STEP CALL TOOK CLASS NEXT ANSWER", rows); err != nil {
			return err
		}
	}
	return nil
}

// lines returns a task's calls and decisions in the order of time.
func (s *sagaLog) lines(task int) []sagaLine {
	var lines []sagaLine
	for _, st := range s.Tasks[task].Steps {
		for n, a := range st.Attempts {
			took, next, answer := "-", "-", "no answer"
			if a.TookMS != nil {
				took, answer = strconv.FormatInt(*a.TookMS, 10)+" ms", dash(a.Message)
			}
			if a.NextAt != nil {
				next = a.NextAt.UTC().Format(timeOfDay)
			}
			l := sagaLine{
				at: a.At, first: n + 1, last: n + 1,
				mergeKey: strings.Join([]string{st.Direction, st.Step, dash(a.Class), answer}, "|"),
				cells: []string{
					a.At.UTC().Format(timeOfDay), st.Direction, st.Step, strconv.Itoa(n + 1), took, dash(a.Class), next, answer,
				},
			}
			if k := len(lines) - 1; k >= 0 && lines[k].mergeKey == l.mergeKey && dash(a.Class) == "pending" {
				lines[k].last, lines[k].cells[4], lines[k].cells[6] = l.last, took, next
				continue
			}
			lines = append(lines, l)
		}
	}
	for _, d := range s.Tasks[task].Decisions {
		lines = append(lines, sagaLine{
			at: d.At, cells: []string{d.At.UTC().Format(timeOfDay), "decided", "-", "-", "-", "-", "-", d.Message},
		})
	}
	slices.SortStableFunc(lines, func(a, b sagaLine) int { return a.at.Compare(b.at) })
	return lines
}
