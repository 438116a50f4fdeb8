package catalog

// CompileSchema lets a test hand the compiler what parseSchema would have refused before it.
var CompileSchema = compileSchema
