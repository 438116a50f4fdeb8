package provider

// Checkup is what an account says of itself when it is asked.
type Checkup struct {
	Regions []RegionFacts // by name
	// Missing is what the account needs and does not have, such as a permission or an image; one sentence
	// each, with what to do. Empty: items can be built.
	Missing []string
}

// RegionFacts is what one region offers.
type RegionFacts struct {
	Name     string   `json:"name"`
	Products []string `json:"products"`
	Images   []string `json:"images,omitempty"` // operating systems, by the catalogue's names
}

// SettingFault is what is wrong with one setting of an account in the configuration file.
type SettingFault struct {
	Setting string // its key in the file, such as "url"
	Message string // a sentence without the setting's name: `is required`
}
