package notice

// page is a mail before it is laid out, as plain text or as HTML.
type page struct {
	Subject string
	Heading string
	Lead    []string // paragraphs
	Note    string   // in a frame: that a region is simulated
	Facts   []fact
	Lines   []line
	Total   fact   // under the lines; without a label: none
	Fine    string // fine print
	Button  fact   // text and address; without an address: none
	Footer  string
}

// fact is a value with its label.
type fact struct{ Label, Value string }

// line is an item or a webhook, with its amount.
type line struct {
	Name   string
	Detail []string
	Amount string
}
