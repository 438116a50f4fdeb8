package provider

// Checkup is the result of Provider.Check.
type Checkup struct {
	Regions []RegionFacts // by name
	// Missing lists what the account needs and does not have, such as a permission or an image, each as a
	// sentence that says what to do. If it is empty, items can be built.
	Missing []string
}

// RegionFacts is what one region offers.
type RegionFacts struct {
	Name     string   `json:"name"`
	Products []string `json:"products"`
	Images   []string `json:"images,omitempty"` // operating systems, by the catalogue's names
}

// SettingFault is a fault of one setting of an account in the configuration file.
type SettingFault struct {
	Setting string // its key in the file, such as "url"
	Message string // a sentence without the setting's name: `is required`
}
