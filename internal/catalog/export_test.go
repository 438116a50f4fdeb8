package catalog

// CompileSchema lets a test compile a schema that parseSchema would refuse.
var CompileSchema = compileSchema

// Codes lists every code that Check can return.
func Codes() []string {
	return []string{
		CodeRequired, CodeUnknownMember, CodeWrongType, CodeNotAnInteger, CodeValueNotOffered,
		CodeBelowMinimum, CodeAboveMaximum, CodeTooShort, CodeTooLong, CodeTooFew, CodeTooMany,
		CodeDuplicateValue, CodeWrongFormat, CodeInvalidValue, CodeInconsistent, CodeMalformed,
		CodeProductUnknown, CodePlanNotOffered, CodeRegionNotOffered, CodeCycleNotOffered,
		CodeForbiddenCharacters,
	}
}
