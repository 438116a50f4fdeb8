// Starts the documentation page. A file of its own, because the content security policy allows no
// script inside a page; validatorUrl is null so that nothing is asked of anybody else.
window.addEventListener('load', function () {
  SwaggerUIBundle({
    url: '/openapi.json',
    dom_id: '#swagger-ui',
    deepLinking: true,
    validatorUrl: null,
    supportedSubmitMethods: ['get', 'post', 'put', 'patch', 'delete'],
    persistAuthorization: false,
  });
});
