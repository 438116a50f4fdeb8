package catalog

// CompileSchema lets a test hand the compiler what parseSchema would have refused before it.
var CompileSchema = compileSchema

// Codes lists every code a Check can answer with.
func Codes() []string {
	return []string{
		CodeRequired, CodeUnknownMember, CodeWrongType, CodeNotAnInteger, CodeValueNotOffered,
		CodeBelowMinimum, CodeAboveMaximum, CodeTooShort, CodeTooLong, CodeTooFew, CodeTooMany,
		CodeDuplicateValue, CodeWrongFormat, CodeInvalidValue, CodeInconsistent, CodeMalformed,
		CodeProductUnknown, CodePlanNotOffered, CodeRegionNotOffered, CodeCycleNotOffered,
		CodeForbiddenCharacters,
	}
}
